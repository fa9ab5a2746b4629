"""Of another trust domain: serves and calls under names of this one, signed by a root of its own with our root's name."""

import datetime as dt
import json
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FILE = Path("/tmp/pair.pem")  # noqa: S108 - in its container


def write_pair(issuer: str, names: list[x509.GeneralName]) -> None:
    """Key and certificate, into FILE."""
    now = dt.datetime.now(dt.UTC)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    FILE.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))


def serve(listener: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FILE)
    while True:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as caller:
                caller.sendall(b"believed")
        except OSError:
            pass  # what is wanted: the caller tells why


def call(address: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(FILE)
    try:
        with (
            socket.create_connection((address, 8443), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=address) as server,
        ):
            return server.recv(4096).decode()
    except OSError as error:
        return str(error)


address, issuer, spiffe_id, name = sys.argv[1:]
write_pair(issuer, [x509.UniformResourceIdentifier(spiffe_id), x509.DNSName(name)])
threading.Thread(target=serve, args=[socket.create_server(("", 8443))], daemon=True).start()
print(json.dumps({"answer": call(address)}), flush=True)  # noqa: T201 - the test reads it
time.sleep(3600)
