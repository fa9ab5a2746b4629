"""Every mistake in a role or cluster file gets a message with its place, what was got and what was expected."""

import time
from pathlib import Path

import pytest

from policies.errors import ProblemsError
from policies.nearest import nearest
from policies.roles import fields
from tests.policies import role_texts
from tests.policies.role_texts import CLUSTER, ROLE

OTHER_CLUSTER = CLUSTER.replace("east", "west")


def problems(base: Path, roles: dict[str, str], clusters: dict[str, str]) -> list[str]:
    where = role_texts.folders(base, roles, clusters)
    with pytest.raises(ProblemsError) as caught:
        role_texts.generate(where)
    assert not where.out.exists(), "nothing may be written when anything is wrong"
    return [str(problem).removeprefix(f"{base}/") for problem in caught.value.problems]


ROLE_MISTAKES = [
    ("podkeys.dev/v1", "v1", "1:13: apiVersion: got 'v1', expected podkeys.dev/v1"),
    ("kind: ServiceRole", "kind: Role", "2:7: kind: got 'Role', expected ServiceRole"),
    ("kind: ServiceRole\n", "", "1:1: got no kind, expected apiVersion, kind, metadata, spec"),
    ("name: payments,", "name: Payments,", "3:18: metadata.name: got 'Payments', expected a name of at most 50"),
    ("name: payments,", "name: identity,", "3:18: metadata.name: got 'identity', expected another name: all and"),
    ("name: payments,", f"name: {'a' * 51},", "expected a name of at most 50"),
    ("owner: team-payments", "ownr: team-payments", "did you mean owner?"),
    ("owner: team-payments", '"owner": "a\\nb"', "3:37: metadata.owner: got 'a\\nb', expected a team"),
    ("owner: team-payments", "owner: 7", "3:35: metadata.owner: got the number 7, expected a text; put it in quotes"),
    ("cluster: east", "cluster: eats", "6:15: spec.runsAs[0].cluster: got 'eats', expected a cluster that has a file; did you mean east?"),
    ("namespace: payments", "namespace: manifest", "expected another namespace: catalog/manifest.json"),
    ("namespace: payments", "namespace: pay.ments", "expected a name of at most 50"),
    ("payments-worker]", "payments-api]", "serviceAccounts[1]: got 'payments-api' again, expected it once"),
    ("[payments-api, payments-worker]", "[]", "serviceAccounts: got an empty list, expected at least one item"),
    ("[payments-api, payments-worker]", "payments-api", "serviceAccounts: got 'payments-api', expected a list, such as [payments-api]"),
    ("[payments-api, payments-worker]", "['*']", "serviceAccounts[0]: got '*', expected a name"),
    ("kv/payments/stripe", "/kv/stripe", "8:26: spec.secrets[0].path: got '/kv/stripe', expected a path without a slash"),
    ("kv/payments/stripe", "kv/stripe/", "expected a path without a slash at its start or end"),
    ("kv/payments/stripe", "kv//stripe", "expected a path without empty segments"),
    ("kv/payments/stripe", "kv/../stripe", "expected a path without . and .. segments"),
    ("kv/payments/stripe", "kv/stripe*", "expected one path, without the wildcards"),
    ("kv/payments/stripe", "kv/+/stripe", "expected one path, without the wildcards"),
    ("kv/payments/stripe", '"kv/{pod}/stripe"', "no braces but the placeholders {cluster} and {namespace}"),
    ("kv/payments/stripe", '"kv/{names{cluster}pace}/x"', "no braces but the placeholders"),
    ("kv/payments/stripe", '"kv/{{identity.entity.id}}/x"', "no braces but the placeholders"),
    ("kv/payments/stripe", r'"kv/a\"b"', "expected letters, digits, / and"),
    ("kv/payments/stripe", "kv/" + "a" * 600, "expected at most 512 characters"),
    ("kv/payments/stripe", "kv", "expected MOUNT/PATH, such as kv/payments/stripe"),
    ("kv/payments/stripe", "kv/data/stripe", "write mount: kv, path: data/stripe"),
    ("kv/payments/stripe", "sys/policies/acl/root, engine: kv1", "expected a mount for secrets: sys/ belongs to the server"),
    ("kv/payments/stripe", "AUTH/token/lookup, engine: kv1", "belongs to the server"),
    ("kv/payments/stripe", "pki-east/issuer/default, engine: kv1", "pki-east is a PKI mount of cluster east"),
    ("kv/payments/stripe", "database/creds/x, engine: kv1", "expected a key-value path; use databases"),
    ("kv/payments/stripe", "kv/x, mount: kv", "expected the path below the mount kv"),
    ("kv/payments/stripe", "kv/x, engine: kv3", "expected one of kv2, kv1; did you mean kv2?"),
    ("kv/payments/stripe", "kv/x, env: yes", "8:37: spec.secrets[0].env: got the boolean yes, expected true or false"),
    ("kv/payments/stripe", "kv/x, name: again", "duplicate key: got name again, expected it once; remove one"),
    ("kv/payments/stripe}", "kv/x}\n  - {name: stripe, path: kv/y}", "9:12: spec.secrets[1].name: got 'stripe' again"),
    ("  certificates:", "  databases:\n  - {name: stripe, path: d/creds/x}\n  certificates:", "spec.databases[0].name: got 'stripe' again, expected a name of its own among secrets and databases"),
    ("  certificates:", "  databases:\n  - {name: orders, path: d/orders}\n  certificates:", "expected MOUNT/creds/ROLE"),
    ("  certificates:", "  databases:\n  - {name: orders, path: d/creds/a/b}\n  certificates:", "expected MOUNT/creds/ROLE"),
    ("  certificates:", "  databases:\n  - {name: orders, path: d/creds/x, env: true}\n  certificates:", "unknown key: got 'env', expected one of name, path"),
    ("services: [payments]", "services: []", "services: got an empty list"),
    ("services: [payments]", "services: [a.b]", "services[0]: got 'a.b', expected a name"),
    ("ttl: 1h, usages", "ttl: 1 hour, usages", "ttl: got '1 hour', expected a duration such as 90s"),
    ("ttl: 1h, usages", "ttl: 60s, usages", "ttl: got 1m, expected at least 2m, the minTTL of cluster east"),
    ("ttl: 1h, usages", "ttl: 2h, usages", "ttl: got 2h, expected at most 1h, because of podIP: true"),
    ("podIP: true, ttl: 1h", "ttl: 48h, revoke: true", "ttl: got 2d, expected at most 24h, because of revoke: true"),
    ("podIP: true, ttl: 1h", "ttl: 31d", "ttl: got '31d', expected at most 30d"),
    ("client]", "clent]", "usages[1]: got 'clent', expected one of server, client; did you mean client?"),
    ("client]}", "client], key: ec}", "key: got 'ec', expected one of ec-p256, rsa-2048, rsa-3072; did you mean ec-p256?"),
    ("client]}", "client], revoke: 1}", "revoke: got the number 1, expected true or false"),
    ("{ttl: 1h}", "{ttl: 3600}", "identity.ttl: got the number 3600, expected a duration"),
    ("{ttl: 1h}", "{ttl: 1m}", "identity.ttl: got 1m, expected at least 2m"),
    ("{ttl: 1h}", "true", "spec.identity: got the boolean true, expected a mapping with ttl"),
    ("  identity:", "  identiy:", "spec: unknown key: got 'identiy', expected one of runsAs, secrets"),
    ("  identity: {ttl: 1h}", "  identity: {ttl: 1h}\nstatus: {}", "12:1: unknown key: got 'status', expected one of apiVersion"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "message"), ROLE_MISTAKES, ids=lambda text: text[:40])
def test_a_mistake_in_a_role_is_named_with_its_place(
    right: str, wrong: str, message: str, tmp_path: Path
) -> None:
    text = ROLE.replace(right, wrong)
    assert text != ROLE
    found = problems(tmp_path, {"payments.yaml": text}, {"east.yaml": CLUSTER})
    assert any(message in problem for problem in found), found
    assert all(
        problem.startswith("roles/payments.yaml:") and ", expected " in problem for problem in found
    ), found


CLUSTER_MISTAKES = [
    ("https://vault", "http://vault", "https: http is for a loopback address"),
    ("com:8200", "com:8200/", "without user, path, query or a slash at the end"),
    ("https://vault", "https://me:secret@vault", "got 'https://(hidden)@vault.example.com:8200', expected an https URL such as https://vault.example.com:8200, without user, path"),
    ("https://vault.example.com:8200", "vault:8200", "5:20: spec.vault.address: got 'vault:8200', expected an https URL"),
    ("https://vault.example.com:8200", "https://vault.example.com:99999", "expected an https URL"),
    ('8200"}', '8200", namespace: /x}', "spec.vault.namespace: got '/x'"),
    ('8200"}', '8200", caFile: nowhere.pem}', "spec.vault.caFile: got 'nowhere.pem', expected a PEM file of certificates, relative to this one: there is no such file"),
    ('8200"}', '8200", caFile: east.yaml}', "expected certificates in PEM and nothing else"),
    ("method: jwt", "method: oidc", "spec.auth.method: got 'oidc', expected one of jwt, kubernetes"),
    ("mount: jwt-east", "mount: auth/jwt-east", "(leave out auth/)"),
    ("audience: vault", 'audience: ""', "spec.auth.audience: got '', expected an audience such as vault"),
    ("audience: vault", "audience: https://kubernetes.default.svc.cluster.local", "every pod has a token with the API server's"),
    ("identity: spiffe-east", "identity: pki-east", "expected another mount than serving: each has a root of its own"),
    ("serving: pki-east", "serving: 'pki-{cluster}'", "expected a mount without placeholders"),
    ("trustDomain: east", "trustDomain: EAST", "8:16: spec.trustDomain: got 'EAST.example.com', expected a lower-case domain"),
    ("[svc.cluster.local]", "[local]", "spec.dnsDomains[0]: got 'local', expected a lower-case domain"),
    ("[svc.cluster.local]", "['*.cluster.local']", "expected a lower-case domain"),
    ("[10.244.0.0/16]", "[10.244.0.1/16]", "10.244.0.1/16 has host bits set"),
    ("[10.244.0.0/16]", "[0.0.0.0/0]", "expected the network of this cluster's pods alone, at least /8"),
    ("[10.244.0.0/16]", "['::/0']", "at least /32"),
    ("  podCIDRs: [10.244.0.0/16]\n", "", "spec.podIPCertificates: got accepted, expected podCIDRs too"),
    ("podIPCertificates: accepted", "podIPCertificates: true", "expected accepted, or no such line"),
    ('"1.37"', "1.37", "spec.kubernetesVersion: got the number 1.37, expected a text; put it in quotes"),
    ('"1.37"', '"v1.37"', 'expected a Kubernetes version in quotes, such as "1.37"'),
    ('"1.37"', '"1.37"\n  minKubeletVersion: "1.38"', "expected the oldest node's"),
    ('"1.37"', '"1.37"\n  platform: eks', "spec.platform: got 'eks', expected one of kubernetes, openshift"),
    ('"1.37"', '"1.37"\n  minTTL: 0s', "spec.minTTL: got '0s', expected a duration"),
    ("name: east", "name: all", "metadata.name: got 'all', expected another name"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "message"), CLUSTER_MISTAKES, ids=lambda text: text[:40])
def test_a_mistake_in_a_cluster_is_named_with_its_place(
    right: str, wrong: str, message: str, tmp_path: Path
) -> None:
    text = CLUSTER.replace(right, wrong)
    assert text != CLUSTER
    found = problems(tmp_path, {"payments.yaml": ROLE}, {"east.yaml": text})
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("clusters/east.yaml:") for problem in found), found


def test_http_is_allowed_on_loopback(tmp_path: Path) -> None:
    for address in ("http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200"):
        text = CLUSTER.replace("https://vault.example.com:8200", address)
        files = role_texts.generated(tmp_path, cluster=text)
        assert address in files["east/cluster.json"].decode()


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ("jwt-west:jwt-east", "spec.auth.mount: got 'jwt-east', expected a mount of its own on this server"),
        (
            "pki-west:spiffe-east",
            "spec.pki.serving: got 'spiffe-east', expected a mount of its own on this server",
        ),
        (
            "spiffe-west:spiffe-east",
            "spec.pki.identity: got 'spiffe-east', expected a mount of its own on this server",
        ),
        (
            "west.example.com:east.example.com",
            "spec.trustDomain: got 'east.example.com', expected a trust domain",
        ),
        ("name: west:name: east", "metadata.name: got 'east', expected a name of its own"),
    ],
)
def test_two_clusters_share_no_mount_trust_domain_or_name(shared: str, message: str, tmp_path: Path) -> None:
    """One cluster could log in, sign or speak for the other."""
    own, _, other = shared.rpartition(":") if shared.count(":") == 1 else ("name: west", "", "name: east")
    text = OTHER_CLUSTER.replace(own, other).replace("https://vault", "https://VAULT")
    found = problems(tmp_path, {"payments.yaml": ROLE}, {"a.yaml": CLUSTER, "b.yaml": text})
    assert len(found) == 1
    assert found[0].startswith("clusters/b.yaml:")
    assert message in found[0]


def test_the_same_mounts_on_two_servers_are_no_clash(tmp_path: Path) -> None:
    text = CLUSTER.replace("name: east", "name: west").replace("east.example", "west.example")
    text = text.replace("vault.example.com", "vault.west.example.com")
    where = role_texts.folders(tmp_path, {"payments.yaml": ROLE}, {"a.yaml": CLUSTER, "b.yaml": text})
    assert role_texts.generate(where).clusters == 2


def test_two_roles_with_one_name_are_refused_even_in_two_namespaces(tmp_path: Path) -> None:
    roles = {"a/x.yaml": ROLE, "b/x.yaml": ROLE.replace("namespace: payments", "namespace: other")}
    found = problems(tmp_path, roles, {"east.yaml": CLUSTER})
    first = f"{tmp_path}/roles/a/x.yaml"
    place = "roles/b/x.yaml:3:18: metadata.name"
    assert found == [f"{place}: got 'payments' again, expected a name of its own: {first} has it; rename one"]


def test_the_same_place_twice_in_a_role_is_refused(tmp_path: Path) -> None:
    line = "  - {cluster: east, namespace: payments, serviceAccounts: [other]}\n  secrets:"
    found = problems(tmp_path, {"r.yaml": ROLE.replace("  secrets:", line)}, {"east.yaml": CLUSTER})
    assert (
        "got east/payments again, expected it once; join its serviceAccounts to those of spec.runsAs[0]"
        in found[0]
    )


def test_one_service_account_may_have_two_roles(tmp_path: Path) -> None:
    """The annotation `role` chooses between them."""
    roles = {"a.yaml": ROLE, "b.yaml": ROLE.replace("name: payments,", "name: refunds,")}
    assert role_texts.generate(role_texts.folders(tmp_path, roles, {"c.yaml": CLUSTER})).roles == 2


def test_pod_addresses_and_environment_need_clusters_that_allow_them(tmp_path: Path) -> None:
    cluster = CLUSTER.replace("  podIPCertificates: accepted\n", "").replace(
        '"1.37"', '"1.37"\n  minKubeletVersion: "1.34"'
    )
    role = ROLE.replace("kv/payments/stripe", "kv/payments/stripe, env: true")
    found = problems(tmp_path, {"r.yaml": role}, {"c.yaml": cluster})
    assert [problem.split(": got")[0] for problem in found] == [
        "roles/r.yaml:8:51: spec.secrets[0].env",
        "roles/r.yaml:10:50: spec.certificates[0].podIP",
    ]


def test_a_namespace_called_sys_does_not_open_the_servers_own_paths(tmp_path: Path) -> None:
    role = ROLE.replace("kv/payments/stripe", '"{namespace}/policies/acl/root", engine: kv1')
    found = problems(
        tmp_path, {"r.yaml": role.replace("namespace: payments", "namespace: sys")}, {"c.yaml": CLUSTER}
    )
    assert "expected a mount for secrets: sys/ belongs to the server" in found[0]


def test_a_role_that_declares_nothing_is_refused(tmp_path: Path) -> None:
    role = ROLE[: ROLE.index("  secrets:")]
    found = problems(tmp_path, {"r.yaml": role}, {"c.yaml": CLUSTER})
    assert found == [
        "roles/r.yaml:5:3: spec: got a role that declares nothing, expected secrets, databases, certificates or identity"
    ]


def test_all_mistakes_of_all_files_come_at_once_in_order(tmp_path: Path) -> None:
    roles = {
        "b.yaml": ROLE.replace("ttl: 1h", "ttl: x").replace("kv/payments", "kv//payments"),
        "a.yaml": ROLE.replace("name: payments,", "name: all,"),
    }
    found = problems(
        tmp_path, roles, {"c.yaml": CLUSTER.replace("oidc", "jwt"), "d.yaml": OTHER_CLUSTER + "\n- x"}
    )
    assert [problem.partition(": ")[0] for problem in found] == [
        "clusters/d.yaml:14:1",
        "roles/a.yaml:3:18",
        "roles/b.yaml:8:26",
        "roles/b.yaml:10:61",
        "roles/b.yaml:11:19",
    ]


def test_the_largest_lists_are_checked_in_bounded_time_and_longer_ones_refused(tmp_path: Path) -> None:
    def role(number: int) -> str:
        places = "".join(
            f"  - {{cluster: east, namespace: n{n}, serviceAccounts: [a]}}\n" for n in range(number)
        )
        secrets = "".join(f"  - {{name: s{n}, path: sys/a{n}, engine: kv1}}\n" for n in range(number))
        return ROLE[: ROLE.index("  - {cluster")] + places + "  secrets:\n" + secrets

    start = time.monotonic()
    assert len(problems(tmp_path, {"r.yaml": role(200)}, {"c.yaml": CLUSTER})) == 200
    assert time.monotonic() - start < 5
    found = problems(tmp_path, {"r.yaml": role(201)}, {"c.yaml": CLUSTER})
    assert all("got 201 items, expected at most 200" in problem for problem in found)


def test_a_broken_cluster_file_does_not_make_its_roles_wrong(tmp_path: Path) -> None:
    """One mistake, one message: that the cluster can't be found follows from it."""
    found = problems(tmp_path, {"r.yaml": ROLE}, {"c.yaml": CLUSTER.replace("method: jwt", "method: x")})
    assert len(found) == 1


def test_of_very_many_unknown_keys_the_first_are_named_and_the_rest_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has room for a hundred thousand, and each name is compared with those that exist."""
    compared: list[str] = []

    def counted(name: str, known: tuple[str, ...]) -> list[str]:
        compared.append(name)
        return nearest(name, known)

    monkeypatch.setattr(fields, "nearest", counted)
    keys = "".join(f"  k{number}: x\n" for number in range(10_000))
    found = problems(tmp_path, {"r.yaml": ROLE + keys}, {"c.yaml": CLUSTER})
    assert len(compared) == fields.MAX_UNKNOWN
    assert any(
        "spec: got 10000 unknown keys, expected none; the first 20 are named" in text for text in found
    )
