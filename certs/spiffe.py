"""The syntax of a SPIFFE ID (SPIFFE-ID, section 2). No cryptography here."""

import re
from collections.abc import Iterator

from certs.profiles import MAX_SPIFFE_ID_BYTES, MAX_TRUST_DOMAIN_BYTES

SCHEME = "spiffe://"

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


def id_problems(text: str) -> Iterator[str]:
    """What keeps `text` from naming a workload, as messages. A leaf SVID needs a path (X509-SVID, 5.2)."""
    if not text.startswith(SCHEME):
        yield f"got URI {text[:100]!r}, expected one that starts with {SCHEME}"
        return
    if len(text.encode()) > MAX_SPIFFE_ID_BYTES:
        yield f"got a SPIFFE ID of {len(text.encode())} bytes, expected at most {MAX_SPIFFE_ID_BYTES}"
    trust_domain, _, path = text.removeprefix(SCHEME).partition("/")
    if not _TRUST_DOMAIN.fullmatch(trust_domain):
        yield f"got trust domain {trust_domain[:100]!r}, expected lower-case letters, digits, dots, - and _"
    if len(trust_domain) > MAX_TRUST_DOMAIN_BYTES:
        yield f"got a trust domain of {len(trust_domain)} bytes, expected at most {MAX_TRUST_DOMAIN_BYTES}"
    segments = path.split("/")
    if not all(_SEGMENT.fullmatch(segment) and segment not in {".", ".."} for segment in segments):
        yield f"got path {path[:100]!r}, expected segments of letters, digits, dots, - and _, none empty, . or .."
