"""A role may claim what the boundary of its namespace names, and nothing else."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from policies.errors import ProblemsError
from policies.roles import boundary, inside, role
from policies.roles.document import load
from policies.roles.inside import Boundaries
from tests.policies import role_texts
from tests.policies.role_texts import BOUNDARY, CLUSTER, ROLE


def problems(base: Path, roles: dict[str, str], boundaries: dict[str, str]) -> list[str]:
    """What generation says, with the paths of files below `base`; nothing where all lies inside."""
    where = role_texts.folders(base, roles, {"east.yaml": CLUSTER}, boundaries)
    try:
        role_texts.generate(where)
    except ProblemsError as error:
        assert not where.out.exists(), "nothing may be written when anything is refused"
        return [str(problem).replace(f"{base}/", "") for problem in error.problems]
    return []


def refusals(role_text: str, *boundaries: str) -> list[str]:
    """The same without a disk, and by the boundaries' own rules alone."""
    drafts = [boundary.parse("b", load("b", text.encode())) for text in boundaries]
    assert not [problem for draft in drafts for problem in draft.fields.problems]
    parsed = [draft.boundary for draft in drafts]
    found = {
        name: tuple(one for one in parsed if name in one.namespaces)
        for any_ in parsed
        for name in any_.namespaces
    }
    asked = role.parse("r", "r", load("r", role_text.encode()))
    assert not asked.fields.problems, asked.fields.problems
    inside.run(asked, Boundaries(found, closed=True))
    return [str(problem) for problem in asked.fields.problems]


DATABASE = "  databases:\n  - {name: orders, path: DB}\n  certificates:"

# what changes in the role, what changes in the boundary that allows it, and what is said without that
CLAIMS = [
    ("owner: team-payments", "owner: team-web", "[team-payments]", "[team-payments, team-web]",
     "3:35: metadata.owner: got 'team-web', outside boundaries/b.yaml:7, expected in east/payments an owner of roles: team-payments"),
    ("kv/payments/stripe", "kv/web/smtp", "{path: kv/payments}", "{path: kv/web}",
     "8:26: spec.secrets[0].path: got 'kv/web/smtp', outside boundaries/b.yaml:9, expected in east/payments a path at or below kv/payments"),
    ("kv/payments/stripe", "kv/payments/stripe, engine: kv1", "{path: kv/payments}", "{path: kv/payments, engine: kv1}",
     "got 'kv/payments/stripe (engine kv1)', outside boundaries/b.yaml:9, expected in east/payments a path at or below kv/payments"),
    ("path: kv/payments/stripe", "mount: team/kv, path: stripe", "{path: kv/payments}", "{mount: team/kv}",
     "spec.secrets[0].path: got 'team/kv/stripe', outside boundaries/b.yaml:9"),
    ("kv/payments/stripe", "kv/payments/stripe, env: true", "{path: kv/payments}", "{path: kv/payments, env: true}",
     "8:51: spec.secrets[0].env: got true, outside boundaries/b.yaml:9, expected in east/payments false"),
    ("  certificates:", DATABASE.replace("DB", "database/creds/web"), "creds/payments-orders", "creds/web",
     "10:26: spec.databases[0].path: got 'database/creds/web', outside boundaries/b.yaml:11, expected in east/payments a path at or below database/creds/payments-orders"),
    ("  certificates:", DATABASE.replace("DB", "database/creds/web"), "creds/payments-orders", "creds",
     "spec.databases[0].path: got 'database/creds/web', outside"),
    ("services: [payments]", "services: [payments, web]", "services: [payments]", "services: [web, payments]",
     "10:42: spec.certificates[0].services[1]: got 'web', outside boundaries/b.yaml:12, expected in east/payments a Service such as payments"),
    ("services: [payments]", "services: [web]", "services: [payments]", "services: all",
     "spec.certificates[0].services[0]: got 'web', outside"),
    ("podIP: true, ttl: 1h", "ttl: 2h", "maxTTL: 1h, podIP", "maxTTL: 2h, podIP",
     "10:48: spec.certificates[0].ttl: got 2h, outside boundaries/b.yaml:12, expected in east/payments at most 1h"),
    ("identity: {ttl: 1h}", "identity: {ttl: 90m}", "identity: {maxTTL: 1h}", "identity: {maxTTL: 90m}",
     "11:19: spec.identity.ttl: got 90m, outside boundaries/b.yaml:13, expected in east/payments at most 1h"),
    ("namespace: payments", "namespace: web", "[payments]\n  clusters", "[payments, web]\n  clusters",
     "6:32: spec.runsAs[0].namespace: got east/web, expected a namespace that a boundary names for this cluster; ask"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "claim", "limit", "wider", "message"), CLAIMS)
def test_a_claim_outside_is_refused_with_both_files_and_lines(
    right: str, claim: str, limit: str, wider: str, message: str, tmp_path: Path
) -> None:
    """And accepted where the boundary is that much wider; a boundary decides nothing but that."""
    text, allowing = ROLE.replace(right, claim), BOUNDARY.replace(limit, wider)
    assert text != ROLE
    assert allowing != BOUNDARY
    found = problems(tmp_path, {"r.yaml": text}, {"b.yaml": BOUNDARY})
    assert len(found) == 1, found
    assert found[0].startswith("roles/r.yaml:")
    assert message in found[0]
    assert problems(tmp_path, {"r.yaml": text}, {"b.yaml": allowing}) == []


# what the boundary leaves out, and what the role may then not have
LEFT_OUT = [
    ("  secrets:\n  - {path: kv/payments}\n", "spec.secrets[0].path: got 'kv/payments/stripe', outside boundaries/b.yaml:5, expected in east/payments none"),
    ("  certificates: {services: [payments], maxTTL: 1h, podIP: true}\n", "10:3: spec.certificates: got certificates, outside boundaries/b.yaml:5, expected in east/payments none"),
    (", podIP: true", "spec.certificates[0].podIP: got true, outside boundaries/b.yaml:12, expected in east/payments false"),
    ("  identity: {maxTTL: 1h}\n", "11:13: spec.identity: got an identity, outside boundaries/b.yaml:5, expected in east/payments none"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), LEFT_OUT)
def test_what_a_boundary_leaves_out_may_not_be_claimed(line: str, message: str, tmp_path: Path) -> None:
    assert line in BOUNDARY
    found = problems(tmp_path, {"r.yaml": ROLE}, {"b.yaml": BOUNDARY.replace(line, "")})
    assert len(found) == 1, found
    assert message in found[0]


def test_a_role_inside_gives_the_same_bytes_whatever_the_boundary_says_more(tmp_path: Path) -> None:
    """A boundary refuses; it adds nothing to what is generated."""
    trees = []
    for name, limits in (("none", None), ("close", {"b.yaml": BOUNDARY}), ("wide", {"b.yaml": WIDE})):
        base = tmp_path / name
        where = role_texts.folders(base, {"r.yaml": ROLE}, {"east.yaml": CLUSTER}, limits)
        trees.append(role_texts.generate(where).changed)
    assert trees[0] == trees[1] == trees[2]
    assert trees[0]


WIDE = (
    BOUNDARY.replace("[east]", "all")
    .replace("[payments], max", "all, max")
    .replace("{path: kv/payments}", "{mount: kv}")
)


def test_a_namespace_is_closed_when_others_have_a_boundary(tmp_path: Path) -> None:
    other = BOUNDARY.replace("[payments]\n  clusters", "[web]\n  clusters")
    found = problems(tmp_path, {"r.yaml": ROLE}, {"b.yaml": other})
    assert [text.partition(", expected")[0] for text in found] == [
        "roles/r.yaml:6:32: spec.runsAs[0].namespace: got east/payments"
    ]


def test_a_boundary_for_other_clusters_closes_this_one_and_is_named() -> None:
    found = refusals(ROLE, BOUNDARY.replace("[east]", "[west, north]"))
    assert len(found) == 1
    assert "got east/payments, expected a namespace that a boundary names for this cluster; b:6 is for west, north;" in found[0]  # fmt: skip
    assert refusals(ROLE, BOUNDARY.replace("[east]", "[west]"), BOUNDARY) == []


def test_a_place_that_is_written_wrong_is_held_to_no_boundary_besides(tmp_path: Path) -> None:
    """The boundary for all clusters would be named with an empty one."""
    wrong = ROLE.replace("cluster: east", "cluster: East").replace("team-payments", "team-web")
    found = problems(tmp_path, {"r.yaml": wrong}, {"b.yaml": BOUNDARY.replace("[east]", "all")})
    assert [text.partition(", expected")[0] for text in found] == [
        "roles/r.yaml:6:15: spec.runsAs[0].cluster: got 'East'"
    ]


def test_each_place_of_a_role_is_held_to_its_own_boundary() -> None:
    """`{namespace}` in a role reads differently in each place, and so it is compared in each."""
    places = "  - {cluster: east, namespace: web, serviceAccounts: [a]}\n  secrets:"
    text = ROLE.replace("  secrets:", places).replace("kv/payments/stripe", '"kv/{namespace}/stripe"')
    web = BOUNDARY.replace("[payments]\n  clusters", "[web]\n  clusters")
    assert (
        "'kv/web/stripe', outside b:9, expected in east/web a path at or below kv/payments"
        in refusals(text, BOUNDARY, web)[0]
    )
    assert refusals(text, BOUNDARY, web.replace("kv/payments", "kv/web")) == []
    assert refusals(text, BOUNDARY, web.replace("kv/payments", '"kv/{namespace}"')) == []


# the namespace that the role runs in, what its boundary allows, what the role claims: never what is meant for others
ATTACKS = [
    ("pay", "path: kv/pay", "path: kv/payments/stripe", "a longer segment"),
    ("pay", "path: kv/pay", "path: kv/pay-ments/stripe", "a longer segment after a dash"),
    ("pay", 'path: "kv/{namespace}"', 'path: "kv/{namespace}ments/stripe"', "a placeholder that reads as another's name"),
    ("pay", 'path: "kv/{namespace}"', "path: kv/payments/stripe", "another's path, written out"),
    ("east", 'path: "kv/{namespace}"', 'path: "kv/east{cluster}/stripe"', "two names joined"),
    ("pay", "path: kv/payments", "path: kv/Payments/stripe", "another case"),
    ("pay", "path: kv/payments", "path: KV/payments/stripe", "another case of the mount"),
    ("pay", "path: kv/payments/a", "path: kv/payments", "what is above"),
    ("pay", "path: kv/payments", "mount: kv/data, path: payments/stripe", "a mount inside the mount"),
    ("pay", "path: kv/payments", "mount: kv/payments, path: stripe", "the same words, another mount"),
    ("pay", "mount: team/kv", "mount: team, path: kv/stripe", "the same words, a shorter mount"),
    ("data", 'path: "kv/{namespace}"', "path: kv/data/payments/stripe, engine: kv1", "version 1 reads version 2's values"),
    ("pay", "path: kv/payments", "path: kv/metadata/payments/stripe, engine: kv1", "version 1 reads version 2's metadata"),
    ("pay", "path: kv/payments, engine: kv1", "path: kv/payments/stripe", "version 2 of a version 1 path"),
]  # fmt: skip


@pytest.mark.parametrize(("namespace", "allowed", "claim", "what"), ATTACKS, ids=[row[3] for row in ATTACKS])
def test_no_spelling_of_anothers_path_lies_inside(
    namespace: str, allowed: str, claim: str, what: str
) -> None:
    """A team that may claim one path reaches no other team's by the way it writes it."""
    text = ROLE.replace("namespace: payments", f"namespace: {namespace}").replace(
        "path: kv/payments/stripe", claim
    )
    limits = BOUNDARY.replace("[payments]\n", f"[{namespace}]\n").replace(
        "path: kv/payments}", f"{allowed}}}"
    )
    assert text != ROLE
    found = refusals(text, limits)
    assert len(found) == 1, what
    assert "spec.secrets[0].path: got" in found[0]


SPELLINGS = ["kv/payments/../web/x", "kv//payments/x", "kv/payments/", "/kv/payments", "kv/./payments", "kv/p\u0430yments/x",
             "kv/payments\u200b/x", "kv/payments*", "kv/+/x", "kv/payments%2f..%2fweb", "kv\\\\payments", "kv/{pod}/x", "kv/{{namespace}}/x"]  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_path_that_a_server_or_a_reader_could_take_for_another_stands_in_either_file(path: str) -> None:
    """Dots, empty segments, wildcards, look-alikes (here a Cyrillic a), invisible and escaped signs."""
    quoted = f'path: "{path}"'
    of_role = role.parse("r", "r", load("r", ROLE.replace("path: kv/payments/stripe", quoted).encode()))
    of_boundary = boundary.parse("b", load("b", BOUNDARY.replace("path: kv/payments", quoted).encode()))
    for fields in (of_role.fields, of_boundary.fields):
        assert [str(problem).partition(": got")[0].rpartition(": ")[2] for problem in fields.problems] == [
            "spec.secrets[0].path"
        ]


def test_a_path_for_secrets_allows_no_accounts_and_the_other_way_round() -> None:
    """A database entry reads its path as it stands, so it could read a version 2 secret below data/creds/."""
    accounts = ROLE.replace("  certificates:", DATABASE.replace("DB", "kv/data/creds/payments"))
    found = refusals(accounts, BOUNDARY.replace("{path: kv/payments}", "{mount: kv}"))
    assert len(found) == 1
    assert "spec.databases[0].path: got 'kv/data/creds/payments', outside b:11" in found[0]
    secret = ROLE.replace("kv/payments/stripe", "database/creds/payments-orders, engine: kv1")
    assert (
        "spec.secrets[0].path: got 'database/creds/payments-orders (engine kv1)'"
        in refusals(secret, BOUNDARY)[0]
    )


@dataclass(frozen=True)
class Entry:
    """A key-value entry of either file, by segments."""

    mount: list[str]
    path: list[str]
    engine: str
    env: bool

    def text(self, name: str = "") -> str:
        named = f"name: {name}, " if name else ""
        where = f'mount: "{"/".join(self.mount)}", path: "{"/".join(self.path)}"'
        return f"  - {{{named}{where}, engine: {self.engine}, env: {str(self.env).lower()}}}\n"

    def at(self, cluster: str, namespace: str) -> list[str]:
        """The segments that the server sees: the oracle's own way of saying it."""
        segments = self.mount + (["data"] if self.engine == "kv2" else []) + self.path
        filled = [cluster.join(segment.split("{cluster}")) for segment in segments]
        return [namespace.join(segment.split("{namespace}")) for segment in filled]

    def says_its_mount_twice(self) -> bool:
        """Which the parser refuses."""
        return self.path[: len(self.mount)] == self.mount


SEGMENTS = st.sampled_from(
    ["a", "ab", "b", "data", "metadata", "{cluster}", "{namespace}", "x{namespace}", "a{cluster}b"]
)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3)
ENTRIES = st.builds(Entry, PATHS, PATHS, st.sampled_from(["kv1", "kv2"]), st.booleans()).filter(
    lambda entry: not entry.says_its_mount_twice()
)
PLACES = st.sampled_from(
    [(cluster, namespace) for cluster in ("a", "east") for namespace in ("a", "ab", "data")]
)


@st.composite
def claims(draw: st.DrawFn, limits: list[Entry]) -> Entry:
    """Often one below a limit, which chance alone would seldom make."""
    if draw(st.booleans()):
        return draw(ENTRIES)
    above = draw(st.sampled_from(limits))
    below = replace(above, path=above.path + draw(st.lists(SEGMENTS, max_size=2)), env=draw(st.booleans()))
    return above if below.says_its_mount_twice() else below


def lies_inside(claim: Entry, limits: list[Entry], place: tuple[str, str]) -> bool:
    wanted = claim.at(*place)
    above = [limit for limit in limits if wanted[: len(limit.at(*place))] == limit.at(*place)]
    return any(limit.env or not claim.env for limit in above)


@given(st.data())
def test_a_role_is_accepted_exactly_when_each_claim_lies_inside(data: st.DataObject) -> None:
    """Against a naive reading of the rule: the claim's segments begin with a limit's, in each place."""
    limits = data.draw(st.lists(ENTRIES, min_size=1, max_size=3))
    claim = data.draw(claims(limits))
    places = data.draw(st.lists(PLACES, min_size=1, max_size=3, unique=True))
    lines = "".join(f"  - {{cluster: {c}, namespace: {n}, serviceAccounts: [s]}}\n" for c, n in places)
    start, end = ROLE.index("  - {cluster"), ROLE.index("  certificates")
    text = ROLE[:start] + lines + "  secrets:\n" + claim.text("stripe") + ROLE[end:]
    allowing = BOUNDARY.replace("[payments]\n", "[a, ab, data]\n").replace("[east]", "all")
    allowing = allowing.replace("  - {path: kv/payments}\n", "".join(limit.text() for limit in limits))
    expected = all(lies_inside(claim, limits, place) for place in places)
    event(f"inside: {expected}")
    assert (refusals(text, allowing) == []) == expected


def test_the_largest_lists_are_compared_in_bounded_time() -> None:
    names = [f"n{number}" for number in range(200)]
    places = "".join(f"  - {{cluster: east, namespace: {name}, serviceAccounts: [a]}}\n" for name in names)
    secrets = "".join(f"  - {{name: {name}, path: kv/other/{name}}}\n" for name in names)
    text = ROLE[: ROLE.index("  - {cluster")] + places + "  secrets:\n" + secrets
    limits = "".join(f"  - {{path: kv/payments/{name}}}\n" for name in names)
    wide = BOUNDARY.replace("[payments]\n", f"[{', '.join(names)}]\n").replace(
        "  - {path: kv/payments}\n", limits
    )
    start = time.monotonic()
    assert len(refusals(text, wide)) == 200
    assert time.monotonic() - start < 10
