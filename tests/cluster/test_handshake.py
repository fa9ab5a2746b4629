"""Whom `serving-certificate` trusts: whom the API server would."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.keys import PrivateKey
from certs.pem import to_pem
from cluster.handshake import trusting
from tests.cluster.trees import certificate

HOST = "podkeys-webhook.podkeys-system.svc"
START = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)  # openssl's clock is the machine's


def server(folder: Path, by: tuple[x509.Certificate, PrivateKey]) -> ssl.SSLContext:
    leaf, key = certificate("leaf", ca=False, names=(x509.DNSName(HOST),), start=START, by=by)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "serving.pem"
    path.write_bytes(private + to_pem(leaf))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def shake_hands(client: ssl.SSLContext, serving: ssl.SSLContext) -> None:
    """In memory. Raises ssl.SSLCertVerificationError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=HOST)
    theirs = serving.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ours.getpeercert()


def test_an_intermediate_in_the_bundle_is_enough(tmp_path: Path) -> None:
    """As a PKI mount with an intermediate gives, which is all that caBundle has of it."""
    root = certificate("corporate root", start=START)
    intermediate = certificate("intermediate", start=START, by=root)
    serving = server(tmp_path, intermediate)
    shake_hands(trusting(to_pem(intermediate[0]).decode()), serving)
    foreign = to_pem(certificate("another", start=START)[0]).decode()
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(trusting(foreign), serving)
