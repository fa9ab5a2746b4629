"""The API server over HTTP. With `handshake`, the only user of the `kubernetes` client; what it reads stays JSON here."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException

from cluster.errors import RefusedError, UnreachableError, UsageError

TIMEOUT_SECONDS = (5, 20)  # to connect, to answer
PAGE = 500  # items of a list in one answer
_ACCEPT = "application/json, application/jwk-set+json"  # the second for the keys of service accounts alone
_NO_WORDS = "'NoneType' object has no attribute 'strip'"  # the client's, of a command that failed on a terminal and spoke there
_SHOWN = 600  # characters of a server's own words


class Kube:
    """One session with the API server. Every call raises RefusedError or UnreachableError."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client

    @property
    def address(self) -> str:
        return str(self.client.configuration.host)

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        return self._call("GET", path, query)

    def find(self, path: str) -> dict[str, Any] | None:
        """None where there is no such thing."""
        try:
            return self.get(path)
        except RefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def items(self, path: str, **query: str | int) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        more = ""
        while True:
            answer = self.get(path, limit=PAGE, **query, **({"continue": more} if more else {}))
            yield from answer.get("items", [])
            more = answer.get("metadata", {}).get("continue", "")
            if not more:
                return

    def try_out(self, path: str, body: Mapping[str, Any]) -> None:
        """Have it admitted as if it were created, and keep nothing."""
        self._call("POST", path, {"dryRun": "All"}, body)

    def _call(
        self, method: str, path: str, query: Mapping[str, str | int], body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        request = self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": _ACCEPT, "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self.client.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            status, content = response.status, response.read()
        except (urllib3.exceptions.HTTPError, ApiException) as error:
            raise UnreachableError(
                f"{self.address}: no answer ({_innermost(error)}); check the kubeconfig's server and CA, and the network"
            ) from None
        except ValueError as error:
            raise UsageError(
                f"kubeconfig: its token can't be sent ({type(error).__name__}), expected one line of ASCII; give another with "
                "--kubeconfig or --context"
            ) from None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise RefusedError(status, message(content.decode(errors="replace")))
        return _json(content, self.address)


def connect(kubeconfig: str | None, context: str | None) -> Kube:
    """By `kubeconfig`, else as kubectl finds one: KUBECONFIG, ~/.kube/config, a pod's own service account."""
    settings = Configuration()
    settings.retries = False  # a dead server is said at once, not after four connects
    try:
        with _credentials():
            config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=settings)
    except ConfigException as error:
        if kubeconfig or context:
            raise UsageError(f"kubeconfig: {error}; give another with --kubeconfig or --context") from None
        _load_in_cluster(settings, str(error))
    except OSError as error:  # one of KUBECONFIG
        raise UsageError(
            f"kubeconfig {error.filename}: can't be read: {error.strerror}; give another with --kubeconfig"
        ) from None
    except (
        yaml.YAMLError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # what the client makes of another file
        raise UsageError(
            f"kubeconfig {kubeconfig or ''}: got a file that is none ({type(error).__name__}), expected clusters, contexts and "
            "users in YAML; give another with --kubeconfig"
        ) from None
    return Kube(ApiClient(settings))


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def _credentials() -> Iterator[None]:
    """Where a kubeconfig's command gives no credentials, the client only logs it, and asks as nobody."""
    errors, root = _Errors(), logging.getLogger()
    root.addHandler(errors)
    try:
        yield
    finally:
        root.removeHandler(errors)
    if errors.said:
        why = "it failed, as it says above" if errors.said[0] == _NO_WORDS else errors.said[0]
        raise UsageError(
            f"kubeconfig: its command for credentials (users[].user.exec) gave none ({' '.join(why.split())[:_SHOWN]}); log in as "
            "that command wants it (`kubectl version` runs it too), or give another with --kubeconfig or --context"
        )


def _load_in_cluster(settings: Configuration, without: str) -> None:
    try:
        config.load_incluster_config(client_configuration=settings)
    except ConfigException:
        raise UsageError(
            f"no kubeconfig to use ({without}); expected one in KUBECONFIG, in ~/.kube/config or by --kubeconfig, or a pod's "
            "own account"
        ) from None


def _json(content: bytes, address: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UnreachableError(
            f"{address}: got an answer that no API server gives, expected JSON; check the kubeconfig's server"
        )
    return value


def message(body: str) -> str:
    """The message of a Status, or the text of something that is none."""
    try:
        text = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        text = body
    return " ".join(text.split())[:_SHOWN]


def _innermost(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
