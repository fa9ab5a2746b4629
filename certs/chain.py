"""Does a certificate chain up to one that is trusted? Pure."""

import datetime as dt
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509 import verification

from certs.problem import Problem

MAX_CHAIN = 8


def chain_problems(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    issuers: Sequence[x509.Certificate],
    now: dt.datetime,
) -> list[Problem]:
    """Whether signatures, times, constraints and key usages hold from the leaf up to one of the issuers.

    An issuer needn't be a root. Keys are RSA from 2048 bits or P-256, P-384, P-521, as in the web's PKI: not Ed25519.
    """
    if not issuers:
        return [
            Problem("chain", "got no trusted issuer to verify with, expected a bundle of CA certificates")
        ]
    policy = (
        verification.PolicyBuilder()
        .time(now)
        .store(verification.Store(list(issuers)))
        .max_chain_depth(MAX_CHAIN)
        .extension_policies(ca_policy=_ca_policy(), ee_policy=verification.ExtensionPolicy.permit_all())
    )
    try:
        policy.build_client_verifier().verify(leaf, list(intermediates))
    except verification.VerificationError as error:
        return [Problem("chain", _chain_message(leaf, issuers, str(error)))]
    return []


def _ca_policy() -> verification.ExtensionPolicy:
    """What an issuer must be. The verifier itself checks path lengths and name constraints."""
    policy = verification.ExtensionPolicy.permit_all()
    either = verification.Criticality.AGNOSTIC
    policy = policy.require_present(x509.BasicConstraints, either, None)
    return policy.may_be_present(x509.KeyUsage, either, _may_sign)


def _may_sign(
    policy: verification.Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    del policy, certificate
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer without key usage keyCertSign")


def _chain_message(leaf: x509.Certificate, issuers: Sequence[x509.Certificate], reason: str) -> str:
    trusted = ", ".join(sorted({issuer.subject.rfc4514_string() for issuer in issuers}))
    return (
        f"got no chain from issuer {leaf.issuer.rfc4514_string()!r} to a trusted one ({trusted[:300]}):"
        f" {reason[:300]}; expected RSA or NIST-curve issuers, valid now, in the bundle"
    )
