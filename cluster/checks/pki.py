"""Whether the PKI mounts can sign for pods, and trust no one else; and the CA of the server itself. Pure."""

import datetime as dt
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from certs.errors import CertificateError
from certs.pem import certificates, is_expired, spki
from cluster.finding import Fact, Finding, Unread, failed, listed, ok
from cluster.generated import Tree
from cluster.server_facts import Mount, Signer
from policies.catalog import Cluster

ENDS_SOON = dt.timedelta(days=30)
_BOOTSTRAP = "podkeys cluster bootstrap --cluster {} makes what is missing"


def pki_mount(tree: Tree, mount: str, mounts: Fact[Mapping[str, Mount]], *, use: str) -> Finding:
    """`use` is serving or identity."""
    name = f"{use}-mount"
    if isinstance(mounts, Unread):
        return mounts.finding(name)
    found = mounts.get(mount)
    if found is None or found.kind != "pki":
        return failed(
            name,
            got=f"no mount {mount}" if found is None else f"{mount} of type {found.kind}",
            expected=f"a PKI mount {mount}, as the cluster file says",
            remedy=_BOOTSTRAP.format(tree.cluster.name),
        )
    needed = tree.longest_life(mount)
    if found.max_seconds and found.max_seconds < needed:
        return failed(
            name,
            got=f"{mount} signs for at most {found.max_seconds} s",
            expected=f"{needed} s, the longest life in role files: shorter ones are refused by the agent",
            remedy=f"bao secrets tune -max-lease-ttl=87600h {mount}",
        )
    return ok(name, f"{mount} is of type pki")


def pki_issuers(
    tree: Tree, mount: str, signers: Fact[tuple[Signer, ...]], now: dt.datetime, *, use: str
) -> Finding:
    name = f"{use}-issuers"
    if isinstance(signers, Unread):
        return signers.finding(name)
    try:
        parsed = {signer: certificates(signer.pem.encode(), signer.name)[0] for signer in signers}
    except CertificateError as error:
        return Unread(f"{mount}: {error}", "look at the mount's issuers").finding(name)
    keyed = {signer: item for signer, item in parsed.items() if signer.has_key}
    problems = _unable(mount, keyed, now)
    foreign = [
        signer.name
        for signer, item in parsed.items()
        if not signer.has_key and not _above(item, keyed, parsed)
    ]
    if foreign:
        problems.append(f"{listed(foreign)} has no key here and signed none that has")
    if problems:
        return failed(
            name,
            got="; ".join(problems),
            expected=f"a default issuer of {mount} with its key there, for 30 days to come, and none from elsewhere",
            remedy=f"make a new root or intermediate and set it as default; remove foreign ones: bao delete {mount}/issuer/ID. "
            + _BOOTSTRAP.format(tree.cluster.name),
        )
    until = min(item.not_valid_after_utc for item in keyed.values()).strftime("%Y-%m-%d")
    return ok(name, f"{mount}: {listed([signer.name for signer in keyed])}, until {until}")


def _unable(mount: str, keyed: Mapping[Signer, x509.Certificate], now: dt.datetime) -> list[str]:
    """Why the mount can't sign, or soon can't."""
    default = next((item for signer, item in keyed.items() if signer.is_default), None)
    if default is None:
        return [f"{mount} has no default issuer with a key"]
    if is_expired(default, now):
        return [f"the default issuer of {mount} has expired"]
    if default.not_valid_after_utc - now < ENDS_SOON:
        return [f"the default issuer of {mount} ends {default.not_valid_after_utc:%Y-%m-%d}"]
    return []


def _above(
    item: x509.Certificate, keyed: Mapping[Signer, x509.Certificate], every: Mapping[Signer, x509.Certificate]
) -> bool:
    """Whether `item` stands above an issuer with a key: imported with the chain of an intermediate."""
    below = [other for other in every.values() if other is not item and _signed(other, item)]
    return any(other in keyed.values() or _above(other, keyed, every) for other in below)


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def separate_roots(
    cluster: Cluster, serving: Fact[tuple[Signer, ...]], identity: Fact[tuple[Signer, ...]]
) -> Finding:
    """With one key in both mounts, whoever gets a serving certificate could be taken for an identity."""
    name = "separate-roots"
    if isinstance(serving, Unread):
        return serving.finding(name)
    if isinstance(identity, Unread):
        return identity.finding(name)
    try:
        shared = _keys(serving) & _keys(identity)
    except CertificateError as error:
        return Unread(str(error), "look at the mounts' issuers").finding(name)
    if not shared:
        return ok(name, f"{cluster.serving_mount} and {cluster.identity_mount} have no issuer in common")
    return failed(
        name,
        got=f"one key signs in {cluster.serving_mount} and {cluster.identity_mount}",
        expected="a root or intermediate of its own in each",
        remedy=f"make another root in {cluster.identity_mount}, set it as default, and remove the shared one when what it "
        "signed has ended",
    )


def _keys(signers: Sequence[Signer]) -> set[bytes]:
    return {spki(certificates(signer.pem.encode(), signer.name)[0]) for signer in signers if signer.has_key}


def vault_ca(cluster: Cluster, now: dt.datetime) -> Finding:
    """The CA that every agent verifies the server with."""
    name = "vault-ca"
    if not cluster.ca_pem:
        return ok(name, "the system's roots, as the cluster file names no caFile")
    remedy = "put the server's CA into spec.vault.caFile, generate, and apply the catalog"
    try:
        found = certificates(cluster.ca_pem.encode(), "caPEM")
    except CertificateError as error:
        return failed(name, got=str(error), expected="certificates in PEM", remedy=remedy)
    last = max(item.not_valid_after_utc for item in found)
    if last - now < ENDS_SOON:
        return failed(
            name,
            got=f"the last certificate of caFile ends {last:%Y-%m-%d}",
            expected="a CA for at least 30 days to come: no pod logs in without",
            remedy=remedy,
        )
    return ok(name, f"caFile, until {last:%Y-%m-%d}")
