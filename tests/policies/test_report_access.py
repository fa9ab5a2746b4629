"""Who can read what, as the audit report counts it: the decisions are those of `can`."""

import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from policies.acl.errors import PolicyError
from policies.acl.logins import Account, login
from policies.acl.parse import parse_policy
from policies.review.folder import read
from policies.review.inventory import AuthRole, Inventory, PolicyFile
from policies.review.questions import OPERATIONS, ask
from policies.review.report import view
from policies.review.report.access import Access, Mark, Secret, accesses
from policies.review.report.matrix import MOST_COLUMNS, Row, matrix
from policies.review.report.services import Cluster, services
from policies.review.subjects import Policies, Reading
from tests.policies import random_policies

GENERATED = Path(__file__).parents[2] / "deploy" / "example" / "generated"
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
ONE, OTHER = "https://one.example.com:8200", "https://other.example.com:8200"

WRITING = {"create", "update", "patch", "delete"}


def inventory(**policies: str) -> Inventory:
    files = {name: PolicyFile(name, f"{name}.hcl", text.encode()) for name, text in policies.items()}
    return Inventory(files, ())


def role(name: str, file: str, policy: str, *accounts: Account) -> AuthRole:
    return AuthRole("jwt", name, file, (policy,), accounts, login({}), b"")


def reached(found: Inventory, *clusters: Cluster) -> dict[str, Access]:
    policies = Policies(found, Reading(now=NOW))
    return {one.service.subject.name: one for one in accesses(services(found, clusters), policies, NOW)}


def marks(access: Access) -> dict[str, str]:
    return {secret.path: str(mark) for secret, mark in access.secrets.items()}


def test_each_mark_of_the_example_is_what_can_answers() -> None:
    """Invariant: the matrix says what `can` says, about each service and each secret that anybody names."""
    found = read(GENERATED)
    policies = Policies(found, Reading(now=NOW))
    all_of_it = reached(found)
    paths = {secret.path for one in all_of_it.values() for secret in one.secrets}
    assert len(paths) == 7
    compared = 0
    for one in all_of_it.values():
        for path in paths:
            may = ask(policies, one.service.subject, "read", path).may
            assert (path in marks(one)) == may, (one.service.subject.name, path)
            compared += may
    assert compared == 11


def test_the_matrix_says_what_can_says_of_random_policies_too() -> None:
    """Invariant: the same, for wildcards, denials and what overlaps; a pattern is asked by a path that nobody names."""
    compared = 0
    for seed in range(400):
        random = Random(seed)  # noqa: S311 - repeatable is what is wanted
        paths = [random_policies.path(random) for _ in range(5)]
        texts = {f"p{n}": random_policies.policy(random, random.choices(paths, k=3)) for n in range(4)}
        found = inventory(**{name: text for name, text in texts.items() if parses(text)})
        policies = Policies(found, Reading(now=NOW))
        all_of_it = list(reached(found).values())
        for path in {secret.path for one in all_of_it for secret in one.secrets}:
            asked = concrete(path)
            for one in all_of_it:
                mark = one.secrets.get(Secret(path, ""))
                may = {kind for kind in OPERATIONS if ask(policies, one.service.subject, kind, asked).may}
                assert bool(mark and mark.read) == ("read" in may), (seed, one.service.name, path)
                assert bool(mark and mark.write) == bool(may & WRITING), (seed, one.service.name, path)
                compared += 1
    assert compared > 2000


def parses(text: str) -> bool:
    try:
        parse_policy(text, "p", now=NOW)
    except PolicyError:
        return False
    return True


def concrete(path: str) -> str:
    wild = re.sub(r"(?<![^/])\+(?![^/])", "nobody", path)
    return wild.removesuffix("*") + "nobody" if path.endswith("*") else wild


def test_a_wildcard_is_marked_at_all_that_others_name_below_it() -> None:
    found = inventory(
        broad='path "kv/*" { capabilities = ["read"] }\npath "kv/data/closed/*" { capabilities = ["deny"] }',
        narrow='path "kv/data/a" { capabilities = ["read", "update"] }\npath "kv/data/closed/b" { capabilities = ["read"] }',
        plus='path "kv/data/+/x" { capabilities = ["read"] }',
        server='path "*" { capabilities = ["read"] }\npath "kv/data/a" { capabilities = ["list"] }',
    )
    all_of_it = reached(found)
    assert marks(all_of_it["broad"]) == {"kv/*": "R", "kv/data/+/x": "R", "kv/data/a": "R"}
    assert marks(all_of_it["narrow"]) == {"kv/data/a": "RW", "kv/data/closed/b": "R"}
    assert marks(all_of_it["plus"]) == {"kv/data/+/x": "R"}
    assert set(marks(all_of_it["server"])) == {"*", "kv/*", "kv/data/+/x", "kv/data/closed/b"}
    assert not all_of_it["broad"].secrets[Secret("kv/data/a", "")].named
    assert [power.path for power in all_of_it["broad"].powers] == ["kv/data/closed/*"]
    assert [power.meaning for power in all_of_it["server"].powers] == ["administers the server"]


def test_limits_templates_and_ended_stanzas_are_told_apart_from_plain_grants() -> None:
    found = inventory(
        limited='path "kv/data/a" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "2m" }',
        templated='path "kv/data/{{identity.entity.name}}/*" { capabilities = ["read"] }',
        ended='path "kv/data/a" { capabilities = ["read"] expiration = "2029-01-01T00:00:00Z" }',
    )
    all_of_it = reached(found)
    assert marks(all_of_it["limited"]) == {"kv/data/a": "(R)"}
    assert marks(all_of_it["templated"]) == {"kv/data/{{identity.entity.name}}/*": "(R)"}
    assert marks(all_of_it["ended"]) == {}


def test_a_path_on_two_servers_is_two_secrets_and_what_may_be_on_any_counts_on_both() -> None:
    text = b'path "kv/data/a" { capabilities = ["read"] }'
    names = ("one", "other", "anywhere")
    files = {name: PolicyFile(name, f"{name}/policy.hcl", text) for name in names}
    roles = tuple(role(name, f"{name}/auth.json", name, Account(name, "app")) for name in names)
    clusters = (Cluster("first", "one", ONE, "jwt"), Cluster("second", "other", OTHER, "jwt"))
    all_of_it = reached(Inventory(files, roles), *clusters)
    assert list(all_of_it["jwt/one"].secrets) == [Secret("kv/data/a", ONE)]
    assert list(all_of_it["jwt/anywhere"].secrets) == [Secret("kv/data/a", ONE), Secret("kv/data/a", OTHER)]
    found = tuple(all_of_it[name] for name in ("jwt/anywhere", "jwt/one", "jwt/other"))
    assert [(one.secret.server, one.count) for one in view.readers(found)] == [(ONE, 2), (OTHER, 2)]
    elsewhere = [group.matrix.lines[0].listed[0].elsewhere for group in view.groups(found)]
    assert elsewhere == [2, 1, 1]


def test_a_service_is_named_by_its_accounts_and_its_place_by_their_namespaces() -> None:
    text = b'path "kv/data/a" { capabilities = ["read"] }'
    roles = (
        role("plain", "a.json", "p", Account("shop", "app"), Account("shop", "worker")),
        role("any", "b.json", "p", Account("*", "*")),
        role("few", "c.json", "p", Account("mail", "app"), Account("shop", "app")),
        role("many", "d.json", "p", *(Account(f"n{number}", "app") for number in range(4))),
        role("people", "e.json", "p"),
        role("selected", "f.json", "p", Account("", "app", "team=pay")),
    )
    found = services(Inventory({"p": PolicyFile("p", "p.hcl", text)}, roles), ())
    assert {one.subject.name.removeprefix("jwt/"): (one.name, one.namespace) for one in found} == {
        "plain": ("app, worker", "shop"),
        "any": ("any", "any namespace"),
        "few": ("app", "mail, shop"),
        "many": ("app", "several namespaces"),
        "people": ("people", "logins that are not for service accounts"),
        "selected": ("app", "namespaces with team=pay"),
    }


def test_two_servers_may_have_a_role_of_one_name_on_mounts_of_one_name() -> None:
    """As every cluster whose server runs inside it has: each service stays where its own role stands."""
    text = b'path "kv/data/a" { capabilities = ["read"] }'
    names = ("one", "other")
    files = {name: PolicyFile(name, f"{name}/policy.hcl", text) for name in names}
    roles = tuple(role("app", f"{name}/auth.json", name, Account(name, "app")) for name in names)
    clusters = (Cluster("first", "one", ONE, "jwt"), Cluster("second", "other", OTHER, "jwt"))
    found = services(Inventory(files, roles), clusters)
    assert [(one.cluster, one.namespace, one.server) for one in found] == [
        ("first", "one", ONE),
        ("second", "other", OTHER),
    ]


def test_owner_and_role_file_are_believed_of_generated_policies_alone() -> None:
    [payments] = [one for one in services(read(GENERATED), ()) if one.name == "payments-api"]
    assert (payments.owner, payments.source) == ("team-payments", "payments.yaml")
    [foreign] = services(inventory(p='# owner: team-a\n# source: a.yaml\npath "a" { policy = "read" }'), ())
    assert (foreign.owner, foreign.source) == ("", "")


def test_columns_are_what_several_rows_have_and_no_more_than_can_be_followed() -> None:
    many = {f"s{number:02}": "R" for number in range(MOST_COLUMNS + 2)}
    rows = [
        Row("a", "", many | {"mine": "R"}),
        Row("b", "", many | {"s00": "RW"}),
        Row("c", "", {"s01": "R"}),
    ]
    found = matrix(rows, {"mine": 3})
    assert [column.name for column in found.columns] == ["s01", "s00", *sorted(many)[2:MOST_COLUMNS]]
    assert [line.cells[:2] for line in found.lines] == [("R", "R"), ("R", "RW"), ("R", "")]
    assert [(one.name, one.elsewhere) for one in found.lines[0].listed] == [
        ("mine", 3),
        ("s24", 0),
        ("s25", 0),
    ]


def test_what_wildcards_take_in_is_counted_instead_of_listed() -> None:
    [line] = matrix([Row("a", "", {"kv/*": "R", "kv/a": "R"}, frozenset({"kv/a"}))], {}).lines
    assert ([one.name for one in line.listed], line.more) == (["kv/*"], 1)


def test_an_area_is_where_a_secret_stands() -> None:
    found = [
        view.area(path) for path in ("kv/data/payments/stripe", "kv/data/a", "database/creds/a", "kv/*", "*")
    ]
    assert found == ["kv/payments", "kv", "database/creds", "kv", "*"]


def test_a_mark_reads_as_its_legend_says() -> None:
    found = [str(Mark(*one)) for one in ((True, False, False), (True, True, False), (False, True, True))]
    assert found == ["R", "RW", "(W)"]


def test_what_makes_tokens_is_a_power_and_what_may_be_a_secret_of_that_name_is_both() -> None:
    text = """
        path "auth/token/create" { capabilities = ["update"] }
        path "kv/config/app" { capabilities = ["read", "update"] }
        path "database/creds/app" { capabilities = ["read"] }
        path "cubbyhole/*" { capabilities = ["read"] }
        path "kv/data/a" { capabilities = ["read"] }"""
    found = reached(inventory(ops=text))["ops"]
    assert marks(found) == {"database/creds/app": "R", "kv/config/app": "RW", "kv/data/a": "R"}
    assert [(power.meaning, power.path) for power in found.powers] == [
        ("administers engines", "kv/config/app"),
        ("makes credentials", "auth/token/create"),
    ]
