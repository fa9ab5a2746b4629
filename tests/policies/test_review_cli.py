"""`podkeys policies can`, `explain`, `who-can`, `diff` as a reviewer calls them, on generated and on foreign files."""

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import click.testing
import pytest

import podkeys
from policies.review.folder import read
from policies.review.questions import OPERATIONS, ask, who_can
from policies.review.subjects import Policies, Reading, subjects

GENERATED = Path(__file__).parents[2] / "deploy" / "example" / "generated"
STRIPE = "kv/data/payments/stripe"


def call(*arguments: str | Path) -> click.testing.Result:
    return click.testing.CliRunner().invoke(
        podkeys.cli, ["policies", *map(str, arguments)], standalone_mode=False
    )


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Policies as people write them, with roles of the kubernetes method as `bao read -format=json` prints them."""
    (tmp_path / "auth" / "k8s" / "role").mkdir(parents=True)
    (tmp_path / "broad.hcl").write_text('# all of it\npath "kv/*" {\n  capabilities = ["read", "list"]\n}\n')
    (tmp_path / "closed.json").write_text('{"path": {"kv/data/closed": {"capabilities": ["deny"]}}}')
    data = {
        "token_policies": ["broad", "Closed", "gone"],
        "token_no_default_policy": False,
        "bound_service_account_names": ["*"],
        "bound_service_account_namespaces": ["shop", "mail"],
        "bound_service_account_namespace_selector": '{"matchLabels":{"team":"pay"}}',
    }
    (tmp_path / "auth" / "k8s" / "role" / "shop.json").write_text(json.dumps({"data": data}))
    return tmp_path


def test_who_can_leads_to_service_accounts_and_to_the_line() -> None:
    result = call("who-can", "read", STRIPE, "--policies", GENERATED)
    assert result.return_value == 0
    assert (
        "jwt-eu-nl-prod-a/podkeys.payments.payments.payments-api\n    payments-api in payments\n"
        in result.output
    )
    assert "by eu-nl-prod-a/payments/payments/policy.hcl:18: kv/data/payments/stripe" in result.output
    assert result.output.endswith(f"2 can read {STRIPE}.\n")


def test_nobody_is_an_answer_with_its_own_exit_code() -> None:
    result = call("who-can", "delete", STRIPE, "--policies", GENERATED)
    assert (result.return_value, result.output) == (1, f"Nobody can delete {STRIPE}.\n")
    assert call("who-can", "delete", STRIPE, "--policies", GENERATED, "--json").output == "[]\n"


def test_who_can_on_foreign_files_shows_globs_and_selectors(foreign: Path) -> None:
    [answer] = json.loads(call("who-can", "read", "kv/data/x", "--policies", foreign, "--json").output)
    assert answer["subject"] == "k8s/shop"
    assert [(one["namespace"], one["name"]) for one in answer["serviceAccounts"]] == [
        ("shop", "*"),
        ("mail", "*"),
        ("", "*"),
    ]
    assert answer["missingPolicies"] == ["gone"]
    assert (answer["by"][0]["file"], answer["by"][0]["line"]) == ("broad.hcl", 2)


def test_the_short_way_to_who_can_misses_nobody() -> None:
    """Policies whose text can't be about a path aren't parsed; the answer is that of parsing all."""
    inventory = read(GENERATED)
    policies = Policies(inventory, Reading(now=datetime.now(UTC)))
    found = 0
    for path in (
        STRIPE,
        f"{STRIPE}/",
        "/auth/token/renew-self",
        "database/creds/payments-orders",
        "kv",
        "nothing/here",
    ):
        for operation in OPERATIONS:
            short = [answer.subject.name for answer in who_can(inventory, policies, operation, path)]
            every = (ask(policies, subject, operation, path) for subject in subjects(inventory))
            assert short == [answer.subject.name for answer in every if answer.may]
            found += len(short)
    assert found > 5


@pytest.mark.parametrize(
    ("subject", "operation", "path", "code"),
    [
        ("payments/payments-api", "read", STRIPE, 0),
        ("system:serviceaccount:payments:payments-api", "read", STRIPE, 0),
        ("podkeys.payments.payments.payments-api", "read", STRIPE, 0),
        ("jwt-eu-nl-prod-a/podkeys.payments.payments.payments-api", "list", STRIPE, 1),
        ("podkeys.eu-nl-prod-a.payments.payments", "update", "auth/token/renew-self", 0),
        ("web/storefront", "read", STRIPE, 1),
    ],
)
def test_can_takes_roles_policies_and_service_accounts(
    subject: str, operation: str, path: str, code: int
) -> None:
    result = call("can", subject, operation, path, "--policies", GENERATED)
    assert (result.return_value, result.output) == (code, "no\n" if code else "yes\n")


def test_explain_names_the_deciding_stanza_those_that_lost_and_the_way_out(foreign: Path) -> None:
    result = call("explain", "shop/anybody", "read", "kv/data/closed", "--policies", foreign)
    assert result.return_value == 1
    assert "k8s/shop: no: denied" in result.output
    assert "decided by kv/data/closed [deny] at closed.json:1" in result.output
    assert "lost, as it is less close: kv/* [list, read] at broad.hcl:2" in result.output
    assert "names a policy that isn't here: gone" in result.output
    assert "to allow it: remove the denial at closed.json:1\n" in result.output


@pytest.mark.parametrize(
    ("operation", "path", "advice"),
    [
        (
            "read",
            "kv/data/payments/mail",
            "in {roles}/payments.yaml, under spec.secrets: - {{name: mail, path: kv/payments/mail}}",
        ),
        (
            "read",
            "team/kv/data/mail/smtp",
            "in {roles}/payments.yaml, under spec.secrets: - {{name: smtp, mount: team/kv, path: mail/smtp}}",
        ),
        (
            "read",
            "database/creds/refunds",
            "in {roles}/payments.yaml, under spec.databases: - {{name: refunds, path: database/creds/refunds}}",
        ),
        (
            "read",
            "kv/payments/stripe",
            "ask about kv/data/payments/stripe where kv is key-value version 2; for version 1, in {roles}/payments.yaml",
        ),
        ("delete", "kv/data/payments/stripe", "nothing in {roles}/payments.yaml grants delete here"),
        (
            "update",
            "pki-eu-nl-prod-a/sign/podkeys.web.storefront.serving",
            "nothing in {roles}/payments.yaml grants",
        ),
        ("read", "sys/policies/acl/root", "nothing in {roles}/payments.yaml grants read here"),
    ],
)
def test_explain_says_what_to_write_in_a_role_file_and_never_in_a_generated_one(
    operation: str, path: str, advice: str
) -> None:
    result = call("explain", "payments/payments-api", operation, path, "--policies", GENERATED)
    assert f"to allow it: {advice.format(roles=GENERATED.parent / 'roles')}" in result.output


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("kv/data/payments/mail", ""),
        ("kv/data/mail/smtp", "got 'kv/mail/smtp', outside {}:10, expected in eu-nl-prod-a/payments a path at or below kv/payments"),
        ("kv/payments/mail", "got 'kv/payments/mail (engine kv1)', outside {}:10"),
        ("database/creds/refunds", "got 'database/creds/refunds', outside {}:13"),
    ],
)  # fmt: skip
def test_explain_names_the_boundary_that_must_change_first(path: str, first: str) -> None:
    result = call("explain", "payments/payments-api", "read", path, "--policies", GENERATED)
    boundary = GENERATED.parent / "boundaries" / "payments.yaml"
    asked = f"; ask who keeps the boundaries to widen them first: {first.format(boundary)}"
    assert (asked in result.output) if first else ("boundaries" not in result.output)


def test_explain_says_that_no_boundary_names_the_namespace_or_that_none_can_be_read(tmp_path: Path) -> None:
    def advice() -> str:
        return call("explain", "payments/payments-api", "read", "kv/data/x", "--policies", generated).output

    generated, boundaries = tmp_path / "generated", tmp_path / "boundaries"
    shutil.copytree(GENERATED, generated)
    written = "in roles/payments.yaml, under spec.secrets: - {name: x, path: kv/x}"
    assert advice().endswith(f"{written}\n")
    shutil.copytree(GENERATED.parent / "boundaries", boundaries)
    (boundaries / "payments.yaml").unlink()
    assert f"{written}; no boundary names eu-nl-prod-a/payments: ask who keeps" in advice()
    (boundaries / "web.yaml").write_text("kind: Boundary\n")
    assert f"{written}; whether a boundary allows it isn't known: {boundaries}/web.yaml:1" in advice()


def test_what_only_some_servers_have_is_asked_of_those_alone(tmp_path: Path) -> None:
    text = 'path "kv/data/*" { capabilities = ["recover", "subscribe"]\n subscribe_event_types = ["kv-v2/data-write"] }'
    (tmp_path / "shop.hcl").write_text(text)
    there = ("kv/data/x", "--policies", tmp_path, "--dialect", "vault-2.0.4")
    assert call("can", "shop", "recover", *there).output == "yes\n"
    assert call("can", "shop", "read", *there).output == "no\n"
    assert "of some types of events" in call("who-can", "subscribe", *there).output
    examples = tmp_path / "t.yaml"
    one = "{subject: shop, operation: recover, path: kv/data/x, expected: allowed}"
    examples.write_text(f"apiVersion: podkeys.dev/v1\nkind: PolicyTest\ntests:\n- {one}\n")
    words = ("--policies", tmp_path)
    assert call("test", examples, *words, "--dialect", "vault-2.0.4").return_value == 0
    for asked in (
        ("can", "shop", "recover", "kv/data/x", *words),
        ("who-can", "subscribe", "kv/data/x", *words),
        ("who-can", "scan", "kv/data/x", *words, "--dialect", "vault-2.0"),
        ("test", examples, *words),
    ):
        exception = call(*asked).exception
        assert isinstance(exception, click.ClickException)
        assert exception.exit_code == 64
        assert "name a server that has it with --dialect: " in exception.message


def test_explain_names_the_policy_by_hand_that_decides_beside_a_generated_one(tmp_path: Path) -> None:
    shutil.copytree(GENERATED / "eu-nl-prod-a", tmp_path, dirs_exist_ok=True)
    login = tmp_path / "payments/payments/auth.payments-api.json"
    login.write_text(login.read_text().replace('"token_policies": [', '"token_policies": ["by-hand",'))
    (tmp_path / "by-hand.hcl").write_text('path "kv/data/mail" { capabilities = ["read"] }')
    result = call("explain", "payments/payments-api", "delete", "kv/data/mail", "--policies", tmp_path)
    assert 'add "delete" to the capabilities at by-hand.hcl:1' in result.output


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("kv/payments/stripe", "its secrets are read at kv/data/payments/stripe"),
        ("/v1/kv/data/payments/stripe", "expected it without /v1/"),
        ("kv/data/payments/*", "not as a pattern"),
        ("kv/data/payments/other", ""),
        ("kv1/reports/sftp", ""),
        ("kv/metadata/payments/", ""),
        ("sys/policies/acl/root", ""),
    ],
)
def test_a_question_about_a_path_that_no_request_has_is_answered_with_a_note(path: str, said: str) -> None:
    """Nobody can read kv/payments/stripe where the API's path has data/ in it: true, and no comfort."""
    asked = call("who-can", "delete", path, "--policies", GENERATED, "--json")
    assert asked.stdout == "[]\n"
    assert (said in asked.stderr) if said else not asked.stderr
    assert call("can", "web/storefront", "read", path, "--policies", GENERATED).stderr == asked.stderr


def test_a_policy_test_about_a_path_that_no_request_has_is_named_though_it_passes(tmp_path: Path) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(
        "apiVersion: podkeys.dev/v1\nkind: PolicyTest\ntests:\n"
        "- {subject: web/storefront, operation: read, path: kv/payments/stripe, expected: denied}\n"
    )
    result = call("test", file, "--policies", GENERATED)
    assert (result.return_value, result.stdout) == (0, "1 passed, 0 failed\n")
    assert result.stderr.startswith(f"{file}:4: Note: got 'kv/payments/stripe'")


def test_no_path_is_no_question() -> None:
    result = call("who-can", "read", " ", "--policies", GENERATED)
    assert isinstance(result.exception, click.UsageError)
    assert "got nothing, expected the API's path" in str(result.exception)


@pytest.mark.parametrize(
    "bound",
    [
        {
            "bound_claims": {
                "/kubernetes.io/namespace": "s*p",
                "/kubernetes.io/serviceaccount/name": ["web", "*1"],
            }
        },
        {"bound_claims": {"/kubernetes.io/namespace": "shop", "/kubernetes.io/serviceaccount/name": "*"}},
        {"bound_subject": "system:serviceaccount:shop:api-1"},
    ],
)
def test_a_service_account_stands_for_every_role_whose_pattern_it_fits(
    tmp_path: Path, bound: dict[str, object]
) -> None:
    """Invariant: no role that lets somebody in is left out of what they can do."""
    roles = tmp_path / "auth" / "jwt" / "role"
    roles.mkdir(parents=True)
    common = {"role_type": "jwt", "user_claim": "sub", "bound_claims_type": "glob", "token_policies": ["a"]}
    (roles / "wide.json").write_text(json.dumps({"data": common | bound}))
    (tmp_path / "a.hcl").write_text('path "kv/data/a" { capabilities = ["read"] }')
    exact = {"bound_subject": "system:serviceaccount:shop:api-1", "token_policies": []}
    (roles / "exact.json").write_text(json.dumps({"data": common | exact}))
    assert call("can", "shop/api-1", "read", "kv/data/a", "--policies", tmp_path).return_value == 0
    other = call("can", "web/storefront", "read", "kv/data/a", "--policies", tmp_path)
    assert isinstance(other.exception, click.ClickException)


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("payment/payments-api", "did you mean payments/payments-api"),
        ("payments-api", "payments/payments-api"),
        ("nothing-like-it", "here are such as: jwt-eu-nl-prod-a/podkeys.accounting.ledger.ledger"),
    ],
)
def test_a_mistyped_subject_is_answered_with_the_nearest(subject: str, said: str) -> None:
    result = call("can", subject, "read", STRIPE, "--policies", GENERATED)
    assert isinstance(result.exception, click.ClickException)
    assert f"got {subject!r}" in result.exception.message
    assert said in result.exception.message


def test_a_role_that_asks_for_labels_of_the_namespace_is_named_where_it_is_not_counted(foreign: Path) -> None:
    """Nobody is told no for certain where the files can't say so."""
    login = foreign / "auth" / "k8s" / "role" / "shop.json"
    exact = {"bound_service_account_names": ["api"], "bound_service_account_namespaces": ["web"]}
    (login.parent / "web.json").write_text(json.dumps({"data": exact | {"token_policies": ["none"]}}))
    result = call("can", "web/api", "read", "kv/data/open", "--policies", foreign)
    assert (result.return_value, result.stdout) == (1, "no\n")
    note = "Note: not counted, as they ask for labels of web/api's namespace (--kubeconfig tells them): k8s/shop\n"
    assert result.stderr == note
    assert not call("can", "shop/api", "read", "kv/data/open", "--policies", foreign).stderr
    assert not call("can", "k8s/web", "read", "kv/data/open", "--policies", foreign).stderr


def test_reach_lists_all_grouped_by_what_it_means() -> None:
    [found] = json.loads(
        call("reach", "web/storefront", "--policies", GENERATED / "eu-nl-prod-a", "--json").output
    )
    assert found["serviceAccounts"] == [{"namespace": "web", "name": "storefront", "selector": ""}]
    assert {one["meaning"] for one in found["reach"]} == {
        "renews and ends its own token",
        "signs certificates",
    }
    assert (
        "    pki-eu-nl-prod-a/sign/podkeys.web.storefront.serving [update, limited]\n"
        in call("reach", "web/storefront", "--policies", GENERATED).output
    )


def test_reach_leaves_out_what_a_broader_pattern_says_and_keeps_what_takes_away(tmp_path: Path) -> None:
    lines = (
        '"kv/*" { capabilities = ["read"] }',
        '"kv/a" { capabilities = ["read"] }',
        '"kv/b" { capabilities = ["deny"] }',
    )
    (tmp_path / "p.hcl").write_text("\n".join(f"path {line}" for line in lines))
    assert (
        call("reach", "p", "--policies", tmp_path).output
        == "p\n  but not\n    kv/b [deny]\n  reads secrets\n    kv/* [read]\n"
    )


TESTS = """apiVersion: podkeys.dev/v1
kind: PolicyTest
tests:
- {subject: payments/payments-api, operation: read, path: kv/data/payments/stripe, expected: allowed}
- {subject: web/storefront, operation: read, path: kv/data/payments/stripe, expected: denied}
"""


def test_policies_have_unit_tests(tmp_path: Path) -> None:
    file = tmp_path / "access.yaml"
    file.write_text(TESTS)
    result = call("test", file, "--policies", GENERATED)
    assert (result.return_value, result.output) == (0, "2 passed, 0 failed\n")
    file.write_text(TESTS.replace("expected: denied", "expected: allowed").replace("payments-api", "nobody"))
    result = call("test", file, "--policies", GENERATED)
    assert result.return_value == 1
    assert (
        f"{file}:4:3: payments/nobody read {STRIPE}: got 'payments/nobody', expected an auth role"
        in result.output
    )
    assert f"{file}:5:3: web/storefront read {STRIPE}: got denied, expected allowed\n" in result.output
    assert (
        "  jwt-eu-nl-prod-a/podkeys.web.storefront.storefront: no: no stanza matches the path\n"
        in result.output
    )
    assert result.output.endswith("0 passed, 2 failed\n")


def test_a_wrong_file_of_tests_is_told_with_its_places(tmp_path: Path) -> None:
    file = tmp_path / "access.yaml"
    file.write_text(TESTS.replace("read", "raed").replace("expected: denied", "expect: denied"))
    result = call("test", file, "--policies", GENERATED)
    assert isinstance(result.exception, click.ClickException)
    assert f"{file}:4:47: tests[0].operation: got 'raed', expected one of" in result.exception.message
    assert "unknown key: got 'expect', expected one of" in result.exception.message


def test_diff_shows_meaning_and_is_a_gate(tmp_path: Path) -> None:
    new = tmp_path / "generated"
    shutil.copytree(GENERATED, new)
    policy = new / "eu-nl-prod-a" / "payments" / "payments" / "policy.hcl"
    policy.write_text(
        policy.read_text().replace('path "kv/data/payments/stripe"', 'path "kv/data/payments/*"')
    )
    result = call("diff", GENERATED, new, "--json")
    changes = json.loads(result.output)["access"]
    assert result.return_value == 2
    assert {change["subject"].rpartition(".")[2] for change in changes} == {"payments-api", "payments-worker"}
    assert [change["gained"] for change in changes] == [["read"]] * len(changes)
    assert call("diff", GENERATED, new, "--no-new-access").return_value == 1
    assert call("diff", new, GENERATED, "--no-new-access").return_value == 0
    assert "loses read" in call("diff", new, GENERATED).output


def test_a_changed_comment_or_order_is_no_change(tmp_path: Path) -> None:
    new = tmp_path / "generated"
    shutil.copytree(GENERATED, new)
    for policy in new.rglob("policy.hcl"):
        header, *stanzas = policy.read_text().split("\n\n")
        policy.write_text("\n\n".join([header, "# another comment", *reversed(stanzas)]))
    result = call("diff", GENERATED, new)
    assert (result.return_value, result.output) == (0, "No change in what anybody can do.\n")


def edited(tmp_path: Path, **fields: object) -> Path:
    """The example with other fields in one auth role."""
    new = tmp_path / "generated"
    shutil.copytree(GENERATED, new)
    file = new / "eu-nl-prod-a" / "payments" / "payments" / "auth.payments-api.json"
    role = json.loads(file.read_text())
    file.write_text(json.dumps(role | {"data": role["data"] | fields}))
    return new


def test_a_login_for_another_service_account_is_new_access(tmp_path: Path) -> None:
    new = edited(tmp_path, bound_subject="system:serviceaccount:web:storefront")
    lines = call("diff", GENERATED, new).output.splitlines()
    role = "jwt-eu-nl-prod-a/podkeys.payments.payments.payments-api"
    assert lines == [
        f"+ {role}: storefront in web may log in",
        f"- {role}: payments-api in payments may not log in any more",
    ]
    assert call("diff", GENERATED, new, "--no-new-access").return_value == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"bound_audiences": ["vault", "other"]}, 1),
        ({"bound_claims": {}}, 1),
        ({"token_bound_cidrs": ["10.0.0.0/8"]}, 1),
        ({"token_ttl": 60, "token_max_ttl": 60}, 0),
        ({"verbose_oidc_logging": True}, 0),
    ],
)
def test_other_demands_on_a_login_count_as_new_access_and_the_tokens_life_does_not(
    tmp_path: Path, fields: dict[str, object], code: int
) -> None:
    result = call("diff", GENERATED, edited(tmp_path, **fields), "--no-new-access")
    assert (result.return_value, "asks something else" in result.output) == (code, bool(code))


WAIVER = """waivers:
- id: new-access
  subject: {subject}
  reason: storefront takes over
  owner: team-web
  until: {until}
"""


API = "jwt-eu-nl-prod-a/podkeys.payments.payments.payments-api"


@pytest.mark.parametrize(
    ("subject", "until", "said"),
    [
        (API, "2999-01-01", ""),
        (API, "2020-01-01", "the waiver of team-web ended on 2020-01-01"),
        (
            "payments/payments-api",
            "2999-01-01",
            "the waiver of team-web is for payments/payments-api, not for one of these",
        ),
    ],
)
def test_a_waiver_covers_what_its_subject_gains_until_its_day_and_else_it_is_said_why_not(
    tmp_path: Path, subject: str, until: str, said: str
) -> None:
    config = tmp_path / "podkeys-lint.yaml"
    config.write_text(WAIVER.format(subject=subject, until=until))
    new = edited(tmp_path, bound_subject="system:serviceaccount:web:storefront")
    result = call("diff", GENERATED, new, "--no-new-access", "--config", config)
    told = f"Gains that no waiver covers: 1\n    {API}: who may log in\n{config}:2: {said}\n" if said else ""
    assert (result.return_value, result.stderr) == (int(bool(said)), told)


def test_a_waiver_of_a_path_covers_that_pattern_alone(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, paths in ((old, ()), (new, ("kv/a", "kv/b"))):
        folder.mkdir()
        (folder / "p.hcl").write_text(
            "".join(f'path "{path}" {{ capabilities = ["read"] }}\n' for path in paths)
        )
    config = tmp_path / "podkeys-lint.yaml"
    codes = []
    for waived in (["kv/a"], ["kv/a", "kv/b"]):
        items = (
            WAIVER.format(subject="p", until="2999-01-01").replace("waivers:\n", "") + f"  path: {path}\n"
            for path in waived
        )
        config.write_text("waivers:\n" + "".join(items))
        codes.append(call("diff", old, new, "--no-new-access", "--config", config).return_value)
    assert codes == [1, 0]


def test_a_removed_auth_role_loses_all(tmp_path: Path) -> None:
    new = tmp_path / "generated"
    shutil.copytree(GENERATED, new)
    (new / "eu-nl-prod-a" / "accounting" / "ledger" / "auth.ledger.json").unlink()
    lines = call("diff", GENERATED, new).output.splitlines()
    assert "- jwt-eu-nl-prod-a/podkeys.accounting.ledger.ledger: kv/data/ledger/signing: loses read" in lines


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.hcl", 'path "a" { capabilities = ["raed"] }', "a.hcl:1:6: got the capability raed"),
        ("a.hcl", "\x1b[2Jpath", "got '\\x1b'"),
        ("auth/m/role/r.json", '{"data": {"token_policies": ', "no JSON"),
        ("big.hcl", "#" * (10 * 2**20 + 1), "larger than 10 MiB"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(content)
    result = call("explain", "a", "read", "a", "--policies", tmp_path)
    assert isinstance(result.exception, click.ClickException)
    assert said in result.exception.message


@pytest.mark.parametrize(
    "hostile",
    ['path "a" {' * 50_000, "[" * 100_000, '{"path":' * 100_000, "/*" * 100_000, '"' + "\\" * 99_999],
)
def test_hostile_texts_end_in_an_error_at_once(tmp_path: Path, hostile: str) -> None:
    (tmp_path / "a.hcl").write_text(hostile)
    start = time.process_time()
    assert isinstance(call("can", "a", "read", "a", "--policies", tmp_path).exception, click.ClickException)
    assert time.process_time() - start < 30, "linear work takes a tenth of a second; this is far from it"
