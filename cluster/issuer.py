"""Who signs a cluster's service account tokens: its issuer URL, algorithms and public keys. Pure."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from cluster.errors import ClusterError

_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """`keys` are PEM, in the order of the key set. `ca_pem` verifies the API server; "" where it wasn't read."""

    url: str
    algorithms: tuple[str, ...]
    keys: tuple[str, ...]
    ca_pem: str


def token_issuer(discovery: Mapping[str, Any], key_set: Mapping[str, Any], ca_pem: str) -> TokenIssuer:
    """From the API server's /.well-known/openid-configuration and /openid/v1/jwks (RFC 7517). Raises ClusterError."""
    try:
        keys = tuple(_pem(key) for key in key_set["keys"])
        algorithms = tuple(sorted(discovery["id_token_signing_alg_values_supported"]))
        return TokenIssuer(discovery["issuer"], algorithms, keys, ca_pem)
    except (KeyError, TypeError, ValueError) as error:
        raise ClusterError(
            f"the API server's issuer: got a discovery document or key set that can't be read ({error!r}), expected "
            "those of a service account issuer; is serviceAccountIssuerDiscovery served?"
        ) from None


def _pem(key: Mapping[str, Any]) -> str:
    if key["kty"] == "RSA":
        public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = rsa.RSAPublicNumbers(
            _number(key["e"]), _number(key["n"])
        ).public_key()
    else:
        curve = _CURVES[key["crv"]]
        public = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), curve).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def same_keys(pems: Iterable[str]) -> frozenset[bytes]:
    """Public keys in a form that compares, however their PEM is wrapped; what is no key stands for itself."""
    return frozenset(map(_form, pems))


def _form(pem: str) -> bytes:
    try:
        key = load_pem_public_key(pem.encode())
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return pem.encode()
