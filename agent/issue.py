"""One certificate: key and request made here, signed there, compared with what was asked, and its trust bundle.

Imported only when a pod asks for a certificate: cryptography takes as long to load as all the rest.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from agent.config import Certificate, Login
from agent.errors import AgentError
from agent.reads import refusal
from agent.vault import Answer, Vault
from certs import bundle, keys, pem, verify
from certs.errors import CertificateError
from certs.profiles import KEY_TYPES, Profile, Usage
from certs.renewal import Life

_GONE = frozenset({500})


class Trust(NamedTuple):
    """The live issuers of one mount, PEM each. `complete`: every listed one was read."""

    live: tuple[bytes, ...]
    complete: bool


class Issued(NamedTuple):
    """What readers get: `chain` the leaf and its intermediates, `key` its key (PEM)."""

    chain: bytes
    key: bytes
    life: Life


def trust(vault: Vault, mount: str) -> Trust:
    """The mount's issuers with a key, neither revoked nor expired; asked without a token.

    Raises AgentError `unreachable`, or `refused` where the mount can't be listed.
    """
    listing = vault.call("LIST", f"{mount}/issuers", anonymous=True)
    infos = listing.fields.get("key_info")
    if not listing.ok or not isinstance(infos, dict):
        raise AgentError(
            "refused",
            f"{mount}/issuers lists no issuer: {listing.status} {listing.reason}",
            "check the PKI mount's name in the cluster file, and that it has a root or intermediate",
        )
    keyed = {name: info for name, info in infos.items() if isinstance(info, dict) and info.get("key_id")}
    found = [_issuer(vault, mount, name, info) for name, info in keyed.items()]
    try:
        live = bundle.live_issuers([item for item in found if item], _moment(vault.now()))
    except CertificateError as error:
        raise AgentError(
            "answer", f"{mount}: an issuer is unreadable: {error}", "look at the mount's issuers"
        ) from None
    return Trust(live, complete=all(found))


def joined(previous: bytes, found: Trust, mount: str, now: float) -> bytes:
    """The bundle to write. Raises AgentError `answer` rather than write one that trusts nobody."""
    content = bundle.union(previous, found.live, _moment(now), complete=found.complete)
    if not content:
        raise AgentError(
            "answer",
            f"{mount} has no issuer with a key that is live",
            "give the mount a root or intermediate",
        )
    return content


def issue(
    vault: Vault, item: Certificate, *, pod_ips: tuple[str, ...], trusted: Trust, login: Login
) -> Issued:
    """Raises AgentError: `refused`, `answer`, `config` or `unreachable`."""
    profile = _profile(item, pod_ips)
    try:
        key = keys.generate(profile.key)
        csr = keys.csr_pem(key, profile)
    except CertificateError as error:
        raise AgentError("config", f"{item.folder}: {error}", "correct the role file and apply it") from None
    answer = vault.call("POST", item.sign, _request(profile, csr), passing=_is_young)
    if not answer.ok:
        raise refusal(answer, f"have {item.sign} sign {item.folder}", login)
    received = vault.now()
    chain = _chain(item, answer)
    problems = verify.answer_problems(profile, key, chain=chain, issuers=trusted.live, now=_moment(received))
    if problems:
        raise _not_as_asked(item, [problem.message for problem in problems])
    leaf = pem.certificates(chain, item.folder)[0]
    life = Life(leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp(), received)
    return Issued(chain, keys.private_key_pem(key), life)


def _is_young(answer: Answer) -> str:
    """HashiCorp Vault signs nothing that begins before its issuer does, and certificates begin a minute in the past.

    Its words are `notBefore before signer's notBefore`; no other field tells.
    """
    words = answer.reason.lower()
    if answer.status != 400 or "notbefore" not in words or "signer" not in words:  # noqa: PLR2004 - Vault's own code
        return ""
    return (
        "the mount's issuer is so young that a certificate would begin before it: wait a minute, and make issuers with "
        "not_before_duration=1h"
    )


def _issuer(vault: Vault, mount: str, name: str, info: Mapping[str, Any]) -> bundle.Issuer | None:
    """None where the issuer could not be read: one that was deleted after the listing answers 500."""
    answer = vault.call("GET", f"{mount}/issuer/{name}/json", anonymous=True, final=_GONE)
    record = vault.call("GET", f"{mount}/cert/{info.get('serial_number')}", anonymous=True)
    certificate = answer.fields.get("certificate")
    if not isinstance(certificate, str) or not certificate:
        return None
    revoked = record.fields.get("revocation_time")
    return bundle.Issuer(certificate.encode(), has_key=True, revoked=isinstance(revoked, int) and revoked > 0)


def _profile(item: Certificate, pod_ips: tuple[str, ...]) -> Profile:
    if item.key not in KEY_TYPES:
        raise AgentError(
            "config", f"{item.folder}: key {item.key!r} is unknown", f"expected {', '.join(KEY_TYPES)}"
        )
    if item.pod_ip and not pod_ips:
        raise AgentError(
            "config",
            f"{item.folder} asks for the pod's addresses and none are set",
            "PODKEYS_POD_IPS must come by fieldRef from status.podIPs",
        )
    return Profile(
        key=item.key,
        usages=cast("tuple[Usage, ...]", item.usages),
        ttl_seconds=item.ttl_seconds,
        dns_names=item.dns_names,
        ip_addresses=pod_ips if item.pod_ip else (),
        uris=(item.spiffe_id,) if item.spiffe_id else (),
    )


def _request(profile: Profile, csr: str) -> dict[str, str]:
    """The parameters that the policy allows, no others. A space after a comma would drop a name silently."""
    lists = {"alt_names": profile.dns_names, "ip_sans": profile.ip_addresses, "uri_sans": profile.uris}
    asked = {name: ",".join(values) for name, values in lists.items() if values}
    return {"csr": csr, "format": "pem", "ttl": f"{profile.ttl_seconds}s", **asked}


def _chain(item: Certificate, answer: Answer) -> bytes:
    """The leaf and the intermediates, without roots: those are the reader's to trust, not the peer's to send."""
    leaf, above = answer.fields.get("certificate"), answer.fields.get("ca_chain") or []
    if not isinstance(leaf, str) or not isinstance(above, list):
        raise _not_as_asked(item, ["the answer holds no certificate"])
    try:
        parsed = [*pem.certificates(leaf.encode(), item.folder)[:1]]
        for block in above:
            parsed += [c for c in pem.certificates(str(block).encode(), item.folder) if c.subject != c.issuer]
    except CertificateError as error:
        raise _not_as_asked(item, [str(error)]) from None
    return b"".join(pem.to_pem(certificate) for certificate in parsed)


def _not_as_asked(item: Certificate, problems: list[str]) -> AgentError:
    return AgentError(
        "answer",
        f"{item.sign} signed something else for {item.folder}: {'; '.join(problems)}",
        "nothing was written; compare the PKI role with the generated one and apply it again",
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
