"""Serves with the pod's certificate, lets in whoever has an SVID of this trust domain, and tells callers their name."""

import socket
import ssl
from pathlib import Path

BASE = Path("/var/run/podkeys")

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=BASE / "identity/bundle.pem")
context.verify_mode = ssl.CERT_REQUIRED
context.load_cert_chain(BASE / "certs/serving/tls.crt", BASE / "certs/serving/tls.key")
listener = socket.create_server(("", 8443))
while True:
    connection, _ = listener.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as caller:
            names = (caller.getpeercert() or {})["subjectAltName"]
            caller.sendall(str(names).encode())
    except OSError:
        pass  # a stranger: it is told by an alert
