"""Speaks TLS with one pod through the API server's port forwarding, to see the certificate that it serves."""

import socket
import ssl
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from cryptography import x509
from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from certs.pem import validity
from cluster.facts import Replica
from cluster.finding import Unread
from cluster.kube import message

TIMEOUT_SECONDS = 15
READ_BYTES = 64 * 1024
_BEFORE_BODY = "-+-+- "  # in what the client says of an answer that opens no websocket


def serves(client: ApiClient, pod: tuple[str, str], port: int, *, host: str, ca_pem: str) -> Replica | Unread:
    """`pod` is namespace and name; `host` is the name that the API server calls it by."""
    answers: SimpleQueue[Replica | Unread] = SimpleQueue()

    def ask() -> None:
        answers.put(_serves(client, pod, port, host=host, ca_pem=ca_pem))

    # the client's port forwarding takes no timeout, and a thread that waits must not keep the program from its end
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=TIMEOUT_SECONDS)
    except Empty:
        return Replica(pod[1], f"no answer within {TIMEOUT_SECONDS} s")


def _serves(
    client: ApiClient, pod: tuple[str, str], port: int, *, host: str, ca_pem: str
) -> Replica | Unread:
    namespace, name = pod
    if not ca_pem:  # without one, the context would trust the system's roots
        return Replica(name, "no caBundle to verify its certificate with")
    try:
        context = trusting(ca_pem)
    except ssl.SSLError:
        return Replica(name, "caBundle holds no certificate")
    api = CoreV1Api(client)
    try:
        forward = portforward(api.connect_get_namespaced_pod_portforward, name, namespace, ports=str(port))
    except ApiException as error:
        return Unread(
            f"no port forwarding to {namespace}/{name}: {message(str(error.reason).rpartition(_BEFORE_BODY)[2])}",
            "allow `get` and `create` on pods/portforward in the webhook's namespace (docs/cluster-check.md)",
        )
    raw = forward.socket(port)
    raw.settimeout(TIMEOUT_SECONDS)
    try:
        certificate = _certificate(raw, context, host)
    except ssl.SSLCertVerificationError as error:
        return Replica(name, f"caBundle does not verify its certificate: {error.verify_message}")
    except OSError as error:
        return Replica(name, f"no TLS on port {port}: {forward.error(port) or error}")
    finally:
        _end(raw)
    return Replica(name, "", *validity(x509.load_der_x509_certificate(certificate)))


def trusting(ca_pem: str) -> ssl.SSLContext:
    """As the API server does: an intermediate among the bundle is enough. Raises SSLError where it holds no certificate."""
    context = ssl.create_default_context(cadata=ca_pem)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _certificate(raw: socket.socket, context: ssl.SSLContext, host: str) -> bytes:
    """DER of what the peer shows. The socket stays ours, so that it can be ended as `_end` must."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=host)
    while True:
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            received = raw.recv(READ_BYTES)
            if not received:
                raise ConnectionError("the pod closed the connection") from None
            incoming.write(received)
        else:
            return session.getpeercert(binary_form=True) or b""


def _end(raw: socket.socket) -> None:
    """Close when all is read: the client's own thread, which reads the other side, prints a traceback otherwise."""
    with suppress(OSError):
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(READ_BYTES):
            pass
    raw.close()
