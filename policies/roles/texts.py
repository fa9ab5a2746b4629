"""What the texts in role and cluster files may look like. Each check gives what was expected, or None when it is right."""

import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from certs.profiles import MAX_TRUST_DOMAIN_BYTES
from policies import names

Check = Callable[[str], str | None]

FEW = 5  # of names in one message

PLACEHOLDERS = ("{cluster}", "{namespace}")
MAX_PATH = 512  # bytes of a path in Vault; a server takes more, a reviewer doesn't
MAX_DNS_DOMAIN = 100  # leaves room for a service, a namespace and their dots in 253
MAX_TTL = 30 * 24 * 3600  # below the 32 days that a mount allows unless it is told otherwise

_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/ -]{0,98}[A-Za-z0-9]|[A-Za-z0-9]")
_SEGMENT = re.compile(r"[A-Za-z0-9_=@:~,.{}-]+")
_MOUNT_SEGMENT = re.compile(r"[A-Za-z0-9_{}-][A-Za-z0-9_.{}-]*")
_VERSION = re.compile(r"1\.(0|[1-9][0-9]?)")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LABEL = f"a name of at most {names.MAX_LABEL} lower-case letters, digits and dashes, such as payments-api"


def few(names: Iterable[str]) -> str:
    """The first of them, and how many more there are."""
    every = tuple(names)
    more = f" and {len(every) - FEW} more" if len(every) > FEW else ""
    return ", ".join(every[:FEW]) + more


def label(text: str) -> str | None:
    return None if names.is_label(text) else _LABEL


def own_name(text: str) -> str | None:
    """A name that stands in annotations beside the words `all` and `identity`."""
    if text in names.RESERVED_NAMES:
        return f"another name: {' and '.join(sorted(names.RESERVED_NAMES))} have a meaning in annotations"
    return label(text)


def namespace(text: str) -> str | None:
    """`manifest` would make catalog/manifest.json, which is the list of the catalog's files."""
    if text == "manifest":
        return "another namespace: catalog/manifest.json is the catalog's own list"
    return label(text)


def owner(text: str) -> str | None:
    if _OWNER.fullmatch(text):
        return None
    return "a team such as team-payments: at most 100 letters, digits, spaces and . _ @ / -"


def duration(text: str) -> int | None:
    """Seconds of `90s`, `15m`, `1h`, `7d`; None for anything else."""
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] if found else None


def spoken(seconds: int) -> str:
    """As a person writes it in a file: 7200 → 2h."""
    for unit, size in reversed(_SECONDS.items()):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def ttl(text: str) -> str | None:
    seconds = duration(text)
    if seconds is None:
        return "a duration such as 90s, 15m, 1h or 7d"
    return None if seconds <= MAX_TTL else "at most 30d"


def path(text: str) -> str | None:
    """A path in Vault with the two placeholders: no empty, `.` or `..` segments, nothing that a policy would expand."""
    return next((expected for is_wrong, expected in _PATH_RULES if is_wrong(text)), None)


def mount(text: str) -> str | None:
    """Where an engine is mounted: as a path, but with the few characters that mounts have."""
    wrong = path(text)
    if wrong:
        return wrong.replace("a path", "a mount")
    if all(map(_MOUNT_SEGMENT.fullmatch, text.split("/"))):
        return None
    return "a mount of letters, digits, / and _ . - only"


def plain_mount(text: str) -> str | None:
    """A mount in a cluster file, where there is nothing to put in place of a placeholder."""
    if "{" in text or "}" in text:
        return "a mount without placeholders: the file is about one cluster"
    if text.partition("/")[0] in SERVERS_OWN:
        return f"a mount of its own: {', '.join(sorted(SERVERS_OWN))} belong to the server (leave out auth/)"
    return mount(text)


SERVERS_OWN = frozenset({"auth", "cubbyhole", "identity", "sys"})


def database_path(text: str) -> str | None:
    wrong = path(text)
    if wrong:
        return wrong
    head, _, last = text.rpartition("/creds/")
    if not head or "/" in last or mount(head):
        return "MOUNT/creds/ROLE, such as database/creds/payments-orders"
    return None


def database_place(text: str) -> str | None:
    """A database role, or all of a mount."""
    if database_path(text) is None or database_path(f"{text}/x") is None:
        return None
    return path(text) or "MOUNT/creds/ROLE, or MOUNT/creds for all roles of the mount"


def address(text: str) -> str | None:
    """The URL of a Vault server. https, because tokens and secrets travel; http never leaves the machine."""
    wanted = "an https URL such as https://vault.example.com:8200"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return wanted
    host = parts.hostname or ""
    bare = f"{parts.scheme}://{parts.netloc}"
    if not text.isascii() or bare.lower() != text.lower() or "@" in parts.netloc or port == 0:
        return f"{wanted}, without user, path, query or a slash at the end"
    if not _HOST.fullmatch(f"[{host}]" if ":" in host else host) or parts.scheme not in {"http", "https"}:
        return wanted
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "https: http is for a loopback address (127.0.0.1, ::1, localhost) only"
    return None


def vault_namespace(text: str) -> str | None:
    if not text:
        return None
    wrong = path(text)
    return wrong or (None if "{" not in text else "a namespace without placeholders")


def audience(text: str) -> str | None:
    if re.search("[Kk]ubernetes[.]default", text):
        return "an audience of Vault's own, such as vault: every pod has a token with the API server's"
    if re.fullmatch(r"[!-~]{1,200}", text) and not {'"', "\\"} & set(text):
        return None
    return "an audience such as vault: 1 to 200 visible ASCII characters"


def dns_domain(text: str) -> str | None:
    labels = text.split(".")
    if len(text) <= MAX_DNS_DOMAIN and len(labels) > 1 and all(map(_DNS_LABEL.fullmatch, labels)):
        return None
    return f"a lower-case domain of at most {MAX_DNS_DOMAIN} characters, such as svc.cluster.local, without a dot at its end"


def trust_domain(text: str) -> str | None:
    """SPIFFE-ID, section 2.1: lower-case letters, digits, dots, dashes and underscores, at most 255 bytes."""
    if len(text) <= MAX_TRUST_DOMAIN_BYTES and all(map(_DNS_LABEL.fullmatch, text.split("."))):
        return None
    return f"a lower-case domain of at most {MAX_TRUST_DOMAIN_BYTES} characters, such as eu-nl-prod-a.example.com"


def version(text: str) -> str | None:
    return None if _VERSION.fullmatch(text) else 'a Kubernetes version in quotes, such as "1.37"'


def _foreign_braces(text: str) -> bool:
    for placeholder in PLACEHOLDERS:
        text = text.replace(placeholder, "x")  # not "": what stands around it must not join to another one
    return "{" in text or "}" in text


_PATH_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda text: text.startswith("/") or text.endswith("/"), "a path without a slash at its start or end"),
    (lambda text: "*" in text or "+" in text, "one path, without the wildcards * and +"),
    (lambda text: "" in text.split("/"), "a path without empty segments"),
    (lambda text: not {".", ".."}.isdisjoint(text.split("/")), "a path without . and .. segments"),
    (lambda text: len(text) > MAX_PATH, f"at most {MAX_PATH} characters"),
    (_foreign_braces, "no braces but the placeholders {cluster} and {namespace}"),
    (
        lambda text: not all(map(_SEGMENT.fullmatch, text.split("/"))),
        "letters, digits, / and _ = @ : ~ , . - only",
    ),
)
