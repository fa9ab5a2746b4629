"""Random policies, paths, texts and requests, made to meet: what one names, the other asks for."""

import json
from dataclasses import dataclass
from random import Random

from policies.acl.dialects import NEWEST, Dialect

_SEGMENTS = ("a", "b", "ab", "+", "", "a+", "+b", "*", "a*", "**", "é", "data", "+*", "A", "x y", "a.b")
_PLAIN = ("a", "b", "ab", "", "é", "data", "A", "x")
_CAPABILITIES = (
    "create",
    "read",
    "update",
    "delete",
    "list",
    "sudo",
    "patch",
    "scan",
    "subscribe",
    "recover",
)
_EXPIRATIONS = ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "1500000000")

_TOKENS = (
    "path", '"a"', '"a/*"', "{", "}", "{", "}", "=", "=", "[", "]", ",", "capabilities", 'capabilities = ["read"]',
    'policy = "read"', '"read"', '"list"', '"deny"', "read", "5", "0x1F", "08", "0159", "1.5", "1e5", "-3", "true", "false", "null",
    "name", 'name = "x"', "comment", "comment = 1", "#c\n", "// d\n", "/* e */", "/*/", "/", "<<EOF\nread\nEOF\n",
    "<<-EOF\n  read\n  EOF\n", "<<E\nx\n  E\n", '"${a}"', '"${"x"}"', '"$x"', r'"\n"', r'"\u0041"', r'"\x41"', r'"\101"', r'"\q"',
    r'"\400"', '"\n"', "é", '"é"', "\ufeff", "\n", "\n", ".", "+", "-", ".5", "1.", "0", "00", "allowed_parameters",
    'allowed_parameters = { "a" = ["x"] }', "allowed_parameters { a = [] }", "allowed_parameters { a = 1 }",
    "allowed_parameters { a = { b = 1 } }", 'allowed_parameters "k" { a = 1 }', 'required_parameters = ["a"]',
    'denied_parameters = { "*" = [] }', 'min_wrapping_ttl = "1m"', 'max_wrapping_ttl = "1s"', "max_wrapping_ttl = 90",
    'max_wrapping_ttl = "x"', "min_wrapping_ttl = 1.5", "max_wrapping_ttl = [1]", "pagination_limit = 5", 'pagination_limit = "7"',
    'pagination_limit = "x"', "pagination_limit = 08", 'mfa_methods = ["m"]', 'expiration = "2020-01-01T00:00:00Z"',
    'expiration = "2090-01-01"', "expiration = 5", 'expiration = "2090-01-01T00:00:00+01:00"',
    'control_group = { ttl = "4h" factor "x" { controlled_capabilities = ["read"] identity { group_names = ["g"] approvals = 1 } } }',
    'control_group { ttl = "x" }', "control_group { factor { } }", "control_group = { self_auth_allowed = true }",
    'control_group { factor "a" { controlled_capabilities = ["foo"] } }', "control_group = 5", "bogus = 1", 'capabilities = ["read", 5]',
    'capabilities = ["bogus"]', 'capabilities = "read"', "capabilities = []", "capabilities {}", 'capabilities = ["deny", "bogus"]',
    'capabilities = [["read"]]', "capabilities = [true]", "capabilities = [{}]", '"{{identity.entity.id}}"', '"{{"', '"}}"',
    '"a{{b}}c}}"', '"+*"', '""',
)  # fmt: skip
_BODY = (
    'capabilities = ["read"]',
    'capabilities = ["read","list"]',
    'policy = "write"',
    "policy = 5",
    'comment = "c"',
)
_LABELS = ('"a"', '"a/*"', "a", '"a" "b"', "= ", "", '"{{x}}"', '"{{"', '"+*"', '""')
_JSON = (
    "{", "}", "[", "]", ",", ",", ":", '"path"', '"a"', '"capabilities"', '"read"', '"policy"', "1", "01", "1.5", "true", "false",
    "null", r'"x\u0041"', r'"\/"', "bad", ".", "-", "-1", '"name"', "\0", '"comment"', '{"capabilities":["read"]}',
    '"path":{"a":{"capabilities":["read"]}}', '"allowed_parameters":{"a":["x"]}', '"allowed_parameters":{"a":{"b":{}}}',
    '"capabilities":["read"]', '"policy":"read"', '"policy":null', '"capabilities":null', '"capabilities":[["read"]]',
    '"capabilities":[true,"read"]', '"path":[{"a":{"capabilities":["list"]}}]', '"${"', r'"policy":"\ud800"',
)  # fmt: skip
_ODD = ('"', "\\", "\0", "{", "}", "\ue123", " ", "$", "${", "\t", "\x0b")


def path(random: Random) -> str:
    """A stanza's path, some of them refused."""
    found = "/".join(random.choice(_SEGMENTS) for _ in range(random.randint(1, 4)))
    start = random.choice(("", "", "", "", "", "", "", "/", "//"))
    return start + found + ("*" if random.random() < 0.3 else "")


def policy(random: Random, paths: list[str], dialect: Dialect = NEWEST) -> str:
    """Stanzas for these paths, of attributes and capabilities that the dialect knows."""
    return "".join(_stanza(random, path, dialect) for path in paths)


def _stanza(random: Random, path: str, dialect: Dialect) -> str:
    body = [f"capabilities = {_capabilities(random, dialect)}"] if random.random() < 0.95 else []
    if random.random() < 0.03:
        body.append(f"capabilities = {_capabilities(random, dialect)}")
    if random.random() < 0.08:
        body.append(f'policy = "{random.choice(("read", "write", "sudo", "deny"))}"')
    if random.random() < 0.07 and "expiration" in dialect.attributes:
        body.append(f'expiration = "{random.choice(_EXPIRATIONS)}"')
    random.shuffle(body)
    lines = "".join(f"  {line}\n" for line in body)
    return f"path {json.dumps(path, ensure_ascii=False)} {{\n{lines}}}\n"


def _capabilities(random: Random, dialect: Dialect) -> str:
    if random.random() < 0.15:
        return '["deny"]'
    known = [capability for capability in _CAPABILITIES if capability in dialect.capabilities]
    found = random.sample(known, random.randint(0, 4))
    return json.dumps(found + ["deny"] * (random.random() < 0.05))


def asked(random: Random, paths: list[str]) -> str:
    """A request's path near one of these."""
    near = random.choice(paths).lstrip("/")
    if random.random() < 0.7:
        near = near.rstrip("*")
    segments = [
        random.choice(_PLAIN) if segment == "+" or random.random() < 0.12 else segment
        for segment in near.split("/")
    ]
    tail = random.choice(("", "", "", "", "", "/", "/", "a", "/b", "b/"))
    return "/".join(segments) + tail


def text(random: Random) -> str:
    """What may or may not be a policy."""
    return _hcl(random) if random.random() < 0.6 else _json(random)


def _hcl(random: Random) -> str:
    if random.random() < 0.35:
        return " ".join(random.choice(_TOKENS) for _ in range(random.randint(1, 9)))
    body = [random.choice(_TOKENS if random.random() < 0.6 else _BODY) for _ in range(random.randint(0, 4))]
    found = f"path {random.choice(_LABELS)} {{\n{random.choice((chr(10), ' ')).join(body)}\n}}"
    if random.random() < 0.3:
        found += " " + " ".join(random.choice(_TOKENS) for _ in range(random.randint(1, 3)))
    if random.random() < 0.1:
        found = found.replace("\n", "\r\n")
    return _damaged(random, found, _ODD)


def _json(random: Random) -> str:
    if random.random() < 0.3:
        return "{" + " ".join(random.choice(_JSON) for _ in range(random.randint(0, 8)))
    body = ", ".join(random.choice(_JSON) for _ in range(random.randint(0, 3)))
    found = f'{{"path": {{"a": {{{body}}}}}}}'
    if random.random() < 0.3:
        found = f'{{"path": {{"a": {{"capabilities": ["read"], {body}}}, "b": {{}}}}}}'
    return _damaged(random, found, _JSON)


def _damaged(random: Random, found: str, pieces: tuple[str, ...]) -> str:
    if random.random() < 0.15:
        at = random.randrange(len(found))
        found = found[:at] + random.choice(pieces) + found[at:]
    if random.random() < 0.15:
        at = random.randrange(len(found))
        found = found[:at] + found[at + 1 :]
    return found


_VALUES = ('"x"', '"y*"', '"*z"', '"*m*"', "5", "1.5", "true", '["x"]', '{a = "x"}')
_GIVEN = ("x", "yes", "z", "fooz", "xmx", "no", 5, 1.5, True, ["x"], {"a": "x"}, None, "5")
_PATHS = ("a", "*", "+", "a/*", "", "+/b")


@dataclass(frozen=True)
class Asked:
    """`method` as HTTP has it; `path` below the mount."""

    method: str
    path: str
    exists: bool
    parameters: dict[str, object]
    wrap_ttl: int | None


def constrained(random: Random, mount: str, dialect: Dialect) -> str:
    """A policy for a mount, with parameters, wrapping and, where the dialect knows them, pages."""
    return "".join(
        _constrained(random, f"{mount}/{one}", dialect) for one in random.sample(_PATHS, random.randint(1, 3))
    )


def _constrained(random: Random, path: str, dialect: Dialect) -> str:
    operations = ["create", "read", "update", "delete", "list"]
    operations += ["scan"] if "scan" in dialect.capabilities else []
    granted = random.sample(operations, random.randint(2, len(operations)))
    body = [f"capabilities = {json.dumps(granted + ['deny'] * (random.random() < 0.03))}"]
    body += [_parameters(random, kind) for kind in ("allowed", "denied") if random.random() < 0.35]
    choices = [
        f'required_parameters = ["{random.choice(("a", "B", "limit"))}"]',
        f'min_wrapping_ttl = "{random.choice(("10s", "1m"))}"',
        f'max_wrapping_ttl = "{random.choice(("2m", "1h"))}"',
    ]
    if "pagination_limit" in dialect.attributes:
        choices.append(f"pagination_limit = {random.choice((2, 10))}")
    body += [choice for choice in choices if random.random() < 0.15]
    return f'path "{path}" {{\n' + "".join(f"  {line}\n" for line in body) + "}\n"


def _parameters(random: Random, kind: str) -> str:
    names = random.sample(("A", "b", "*", "limit", "C"), random.randint(0, 2))
    values = (", ".join(random.choice(_VALUES) for _ in range(random.randint(0, 2))) for _ in names)
    pairs = ", ".join(f'"{name}" = [{value}]' for name, value in zip(names, values, strict=True))
    return f"{kind}_parameters = {{ {pairs} }}"


def request(random: Random, dialect: Dialect) -> Asked:
    methods = ["GET", "PUT", "DELETE", "LIST"] + (["SCAN"] if "scan" in dialect.capabilities else [])
    method = random.choice(methods)
    path = random.choice(("a", "b", "a/b", "c/b"))
    parameters: dict[str, object] = {}
    if method == "PUT":
        names = random.sample(("a", "B", "c", "d", "limit"), random.randint(0, 2))
        parameters = {name: random.choice(_GIVEN) for name in names}
    elif method == "GET" and random.random() < 0.3:
        parameters = {random.choice("abc"): random.choice(("x", "z", "no"))}
    elif method in ("LIST", "SCAN"):
        path = random.choice(("", "a/"))
        if random.random() < 0.5:
            parameters = {"limit": random.choice(("1", "5", "0", "-1", "max", "x"))}
    wrap_ttl = random.choice((None, None, None, 5, 30, 90, 600, 7200))
    return Asked(method, path, random.random() < 0.5, parameters, wrap_ttl)
