"""The server over HTTP. The only module that uses hvac, and the one place where its answers become errors."""

import ipaddress
import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import click
import requests
import urllib3
from hvac.adapters import RawAdapter
from requests.utils import get_environ_proxies

from policies.apply.answer import Answer, TooMuchError, whole
from policies.apply.credentials import unused
from policies.apply.errors import (
    FaultError,
    ForbiddenError,
    InvalidError,
    RefusedError,
    TokenError,
    UnreachableError,
)
from policies.apply.namespaces import check_namespace
from policies.apply.permissions import needed
from policies.apply.protections import Product, product
from policies.apply.show import plain
from policies.apply.state import POLICIES, Stored, loose
from policies.catalog import Cluster

TIMEOUT_SECONDS = (5, 30)  # to connect; to answer, and as long again until the answer is complete
NOT_NOW = (412, 429, 472, 473)  # behind our write; too many requests; replicas that don't answer
_TOKEN = re.compile(r"[!-~]+")
_NAMESPACE = re.compile(r"[!-~]*")
_HEALTH = "sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200"
_CAPABILITIES = {"get": "read", "list": "list"}  # of what plan and apply don't ask for


class Server:
    """One session, kept alive, with one token. `product` is what the server says it is."""

    def __init__(self, adapter: RawAdapter, cluster: Cluster, address: str, seconds: float) -> None:
        self._adapter = adapter
        self._seconds = seconds
        self._cluster = cluster
        self._address = address
        self._index: str | None = None
        self.product = self._health()
        check_namespace(self.product, cluster.vault_namespace)

    def names(self, listing: str) -> Sequence[str]:
        """The names below `listing`; none where it is empty. Raises RefusedError where there is no such mount."""
        found = self.listing(listing)
        keys = [] if found is None else found.get("keys")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise self._odd(listing, "a list of names")
        return keys

    def listing(self, path: str) -> dict[str, Any] | None:
        """All that the server lists below `path`: `keys`, and for some `key_info`; None where there is nothing."""
        answer = self._call("list", path)
        return None if answer is None else self._data(answer, path)

    def read(self, path: str) -> Stored | None:
        answer = self._call("get", path)
        if answer is None:
            return None
        fields = self._data(answer, path)
        if not path.startswith(f"{POLICIES}/"):
            return Stored(fields)
        if not isinstance(fields.get("policy"), str):
            raise self._odd(path, "the text of a policy")
        return Stored({"policy": fields["policy"]}, fields.get("version"), loose(fields))

    def write(self, path: str, fields: Mapping[str, Any]) -> None:
        """Raises InvalidError where the server calls the fields wrong, or a policy's check-and-set fails."""
        self._call("put" if path.startswith(f"{POLICIES}/") else "post", path, fields)

    def ask(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What the server answers to a POST that makes something rather than keeps it."""
        return self._data(self._call("post", path, fields) or {}, path)

    def delete(self, path: str) -> None:
        self._call("delete", path)

    def _data(self, answer: Mapping[str, Any], path: str) -> dict[str, Any]:
        data = answer.get("data")
        if not isinstance(data, dict):
            raise self._odd(path, "data")
        return data

    def _odd(self, path: str, expected: str) -> UnreachableError:
        return UnreachableError(
            f"{path} at {self._address}: got an answer that no Vault gives, expected {expected}; check the address, "
            "and what stands between"
        )

    def _call(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """The answer's JSON, {} where there is none, None for something that does not exist."""
        got = self._send(method, path, fields)
        if got.status == HTTPStatus.NOT_FOUND and not got.words:
            return None
        if not got.good:
            raise self._error(method, path, got)
        if method in ("put", "post", "delete"):
            self._index = got.headers.get("X-Vault-Index", self._index)
        document = got.json or {}
        if document.get("wrap_info"):
            raise RefusedError(
                f"{method.upper()} {path}: a control group holds this request until somebody confirms it, and nothing "
                "was done; expected a token without one: put the control group where the token is handed out"
            )
        return document

    def _send(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Answer:
        headers = {}
        # Health is answered in the root namespace alone.
        if self._cluster.vault_namespace and path != _HEALTH:
            headers["X-Vault-Namespace"] = self._cluster.vault_namespace
        if self._index:  # a standby answers reads by itself, and stale, until it has seen our write
            headers |= {"X-Vault-Index": self._index, "X-Vault-Inconsistent": "forward-active-node"}
        body = {} if fields is None else {"json": dict(fields)}
        try:
            response = self._adapter.request(
                method, f"/v1/{path}", headers=headers, raise_exception=False, stream=True, **body
            )
            return whole(response, self._seconds)
        except requests.exceptions.SSLError as error:
            raise UnreachableError(f"{self._address}: {_tls(_innermost(error))}") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, TooMuchError) as error:
            raise UnreachableError(
                f"{self._address}: no answer ({_reason(_innermost(error))}); check the address, the network and the server, "
                "then run it again"
            ) from None

    def _health(self) -> Product:
        got = self._send("get", _HEALTH)
        health = got.json
        if health is None or "sealed" not in health:
            raise UnreachableError(
                f"{self._address}: got {got.status} and no health report, expected OpenBao or HashiCorp "
                f"Vault{self._elsewhere(got)}; check spec.vault.address in the cluster file"
            )
        if health["sealed"] or not health.get("initialized"):
            state = "sealed" if health.get("initialized") else "not initialised"
            raise UnreachableError(
                f"{self._address}: the server is {state}; an operator must unseal it first"
            )
        return product(health)

    def _error(self, method: str, path: str, got: Answer) -> RefusedError | UnreachableError:
        status, words = got.status, self._hidden(got.words) or "no reason given"
        at = f"{method.upper()} {path} at {self._address}: {status}"
        if status == HTTPStatus.FORBIDDEN:
            return ForbiddenError(f"{at}: {words}; {_missing(self._cluster, method, path)}")
        if status == HTTPStatus.NOT_FOUND:
            return RefusedError(
                f"{at}: {words}; expected the mounts and the server namespace of cluster.json to exist: "
                "enable them (docs/cluster-file.md says how), or correct the cluster file"
            )
        if status == HTTPStatus.BAD_REQUEST:
            return InvalidError(f"{at}: {words}")
        if got.location:
            return UnreachableError(
                f"{at}{self._elsewhere(got)}; a token is not sent on: give that with --address"
            )
        if status in NOT_NOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            kind = FaultError if status == HTTPStatus.INTERNAL_SERVER_ERROR else UnreachableError
            return kind(f"{at}: {words}; run it again when the server is well")
        return RefusedError(f"{at}: {words}; expected 200 or 204")

    def _elsewhere(self, got: Answer) -> str:
        return f" (it points to {self._hidden(got.location)})" if got.location else ""

    def _hidden(self, text: str) -> str:
        """What is no Vault may send back what it was sent."""
        return text.replace(self._adapter.token, "(the token)")


@contextmanager
def _ca_file(ca_pem: str) -> Iterator[str]:
    """The path of a file with the CA, as the client takes no other form; "" where the system's roots do."""
    if not ca_pem:
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", prefix="podkeys-ca-", suffix=".pem") as file:
        file.write(ca_pem)
        file.flush()
        yield file.name


def anywhere(address: str, namespace: str, ca_pem: str) -> Cluster:
    """A server that is asked as a whole, so that no mount of a cluster is looked for."""
    return Cluster("", address, namespace, ca_pem, "jwt", "", "", "", "", (0, 0), "kubernetes")


@contextmanager
def connect(
    cluster: Cluster, token: str, address: str = "", *, timeout: tuple[float, float] = TIMEOUT_SECONDS
) -> Iterator[Server]:
    """A session with the cluster's server, or with the one at `address`. Raises ApplyError."""
    address = (address or cluster.vault_address).rstrip("/")
    _check_address(address)
    if not _NAMESPACE.fullmatch(cluster.vault_namespace):
        raise RefusedError(
            f"the server's namespace: got {cluster.vault_namespace!r}, expected its path such as teams/payments"
        )
    if not _TOKEN.fullmatch(token):
        raise TokenError("the token is empty or holds spaces or line breaks; expected what a login printed")
    for text in unused(address, cluster.vault_namespace, os.environ):
        click.echo(plain(f"Note: {text}"), err=True)
    with _ca_file(cluster.ca_pem) as ca_file:
        # hvac.Client would take a client certificate, a CA, a token and an address from the environment; its adapter doesn't.
        adapter = RawAdapter(
            base_uri=address,
            token=token,
            verify=ca_file or True,
            timeout=timeout,
            # Without TLS, which is for loopback alone, a proxy of the environment would see the token.
            proxies=get_environ_proxies(address) if address.startswith("https://") else {},
            allow_redirects=False,  # another host would be given the token
        )
        adapter.session.trust_env = False  # another CA, and what ~/.netrc has for this host
        try:
            yield Server(adapter, cluster, address, timeout[1])
        finally:
            adapter.close()


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        usable = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.path or parts.query or parts.fragment:
        raise RefusedError(
            "the server's address is not usable; expected one such as https://vault.example.com:8200"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise RefusedError(f"{address}: http would show the token to the network; expected https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _missing(cluster: Cluster, method: str, path: str) -> str:
    stanza = " ".join(needed(cluster, path).split()) or f'{_CAPABILITIES.get(method, "write")} on "{path}"'
    return f"the token is unknown or has expired, or its policy lacks: {stanza}"


def _innermost(error: BaseException) -> BaseException:
    """The library wraps what happened several times over; the reason is at the bottom."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _tls(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not trusted ({error.verify_message}); expected one that caPEM in "
            "cluster.json verifies, for this name: correct spec.vault.caFile or address in the cluster file"
        )
    return (
        f"no TLS session ({_reason(error)}); check that the address is https and caPEM in cluster.json is PEM"
    )
