"""The only network to Vault: one kept connection, bounded in time and size, that never follows a redirect.

A call is retried inside one deadline on 412, 429, 472, 473, 5xx and network errors, and on a refusal that its caller knows to
pass with time; other answers are final.
"""

import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from agent import config, report, wire
from agent.clock import Clock
from agent.errors import AgentError

MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_REASON = 400  # characters of the server's own words in a message
REQUEST_SECONDS = 20.0
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0
QUIET_SECONDS = 3.0  # whoever looks into the log of a pod that starts should not find it empty for a minute

_RETRIED = frozenset({412, 429, 472, 473})
_OUTDATED_CERTIFICATE = frozenset({9, 10})  # OpenSSL: not yet valid, has expired


class Answer(NamedTuple):
    """A final answer: JSON of 2xx, or the errors of 4xx. `retry_after` in seconds, when the server said it."""

    status: int
    body: Mapping[str, Any]
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own classes

    @property
    def fields(self) -> Mapping[str, Any]:
        """The answer's `data`; empty when there is none."""
        found = self.body.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def reason(self) -> str:
        """The server's own words, cut."""
        errors = self.body.get("errors")
        texts = [str(error) for error in errors] if isinstance(errors, list) else []
        return " ".join(" ".join(texts).split())[:MAX_REASON] or "no reason given"


class _NoAnswer(Exception):  # noqa: N818 - not an error yet: the call may be tried again
    """One attempt failed; the text says how."""


class Vault:
    """`deadline` is a moment of `clock.monotonic`; no call outlives it. `offset` is the server's clock minus ours."""

    def __init__(self, settings: config.Vault, clock: Clock, *, deadline: float, offset: float = 0.0) -> None:
        self.deadline = deadline
        self.offset = offset
        self.token = ""
        self._settings = settings
        self._clock = clock
        self._waits_for = ""
        self._address = wire.checked_address(settings.address)
        self._context = wire.tls_context(settings.ca_pem) if self._address.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return self._clock.wall() + self.offset

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        anonymous: bool = False,
        final: frozenset[int] = frozenset(),
        passing: Callable[[Answer], str] = lambda _: "",
    ) -> Answer:
        """One call below /v1/. Raises AgentError `unreachable` when no final answer came before the deadline.

        `anonymous`: without the token. `final`: statuses that are answers here, though others are retried on them.
        `passing`: what to do about an answer that will be another in a while; empty for one that stays.
        """
        attempt, start = 0, self._clock.monotonic()
        while True:
            retry_after, remedy = None, ""
            try:
                answer = self._attempt(method, path, body, token="" if anonymous else self.token)
            except _NoAnswer as problem:
                what = str(problem)
            else:
                remedy = passing(answer)
                if answer.status in final or not (remedy or _is_retried(answer.status)):
                    return answer
                what, retry_after = _said(answer), answer.retry_after
            wait = max(retry_after or 0.0, self._back_off(attempt))
            if self._clock.monotonic() + wait >= self.deadline:
                raise _gave_up(self._settings.address, what, retry_after, remedy)
            if self._clock.monotonic() - start >= QUIET_SECONDS:
                self._say_waiting(what)
            self._clock.sleep(wait)
            attempt += 1

    def _say_waiting(self, what: str) -> None:
        """Once for each kind of trouble."""
        if what != self._waits_for:
            self._waits_for, left = what, self.deadline - self._clock.monotonic()
            problem = f"{self._settings.address} {what}"
            report.log("warning", "waiting", problem=problem, gives_up_in=f"{left:.0f}s")

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _back_off(self, attempt: int) -> float:
        longest = min(FIRST_WAIT_SECONDS * 2.0 ** min(attempt, 10), LONGEST_WAIT_SECONDS)
        return longest * (0.5 + self._clock.chance() / 2)

    def _attempt(self, method: str, path: str, body: Mapping[str, Any] | None, token: str) -> Answer:
        until = min(self._clock.monotonic() + REQUEST_SECONDS, self.deadline)
        try:
            connection = self._connection or self._connect(until)
            self._connection = connection
            wire.bound(connection.sock, self._clock, until)
            connection.request(method, self._path(path), _encoded(body), self._headers(token))
            return self._read(connection)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise self._untrusted(error) from None
        except _NoAnswer:
            self.close()  # what else it would say on this connection is not to be trusted either
            raise
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise _NoAnswer(_network_problem(error)) from None

    def _connect(self, until: float) -> http.client.HTTPConnection:
        host = self._address.hostname or ""
        port = self._address.port or (443 if self._context else 80)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = wire.connected(host, port, clock=self._clock, until=until, context=self._context)
        return connection

    def _read(self, connection: http.client.HTTPConnection) -> Answer:
        sent = self._clock.wall()
        response = connection.getresponse()
        content = response.read(MAX_ANSWER_BYTES + 1)
        if len(content) > MAX_ANSWER_BYTES:
            raise _NoAnswer(f"gave an answer of more than {MAX_ANSWER_BYTES} bytes")
        if response.length:  # what is still to come; read() gives less without a word
            raise http.client.IncompleteRead(content)
        if response.will_close:
            self.close()
        self._compare_clocks(response.headers.get("Date"), sent)
        if 300 <= response.status < 400:  # noqa: PLR2004 - HTTP's own classes
            there = urlsplit(response.headers.get("Location") or "").netloc or "the same server"
            raise _NoAnswer(f"answered {response.status}, a redirect to {there}, which is never followed")
        return Answer(response.status, _decoded(response.status, content), _seconds(response.headers))

    def _compare_clocks(self, date: str | None, sent: float) -> None:
        if not date:
            return
        try:
            there = parsedate_to_datetime(date).timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        here = (sent + self._clock.wall()) / 2
        off = there + 0.5 - here  # the header has whole seconds, cut
        self.offset = 0.0 if abs(off) <= 1.0 else off

    def _headers(self, token: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "X-Vault-Request": "true"}
        if token:
            headers["X-Vault-Token"] = token
        if self._settings.namespace:
            headers["X-Vault-Namespace"] = self._settings.namespace
        return headers

    def _path(self, path: str) -> str:
        return f"{self._address.path.rstrip('/')}/v1/{quote(path, safe='/:@')}"

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> AgentError:
        remedy = "check caFile in the cluster file and the certificate of the server"
        if error.verify_code in _OUTDATED_CERTIFICATE:
            remedy = f"by this node's clock it is {_utc(self._clock.wall())}: check the clock, then the server's certificate"
        what = f"{self._settings.address} is not trusted: {error.verify_message}"
        return AgentError("unreachable", what, remedy)


def _encoded(body: Mapping[str, Any] | None) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _decoded(status: int, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    if status < 300 or _is_retried(status):  # noqa: PLR2004 - HTTP's own classes
        raise _NoAnswer(f"answered {status} with something that is no JSON object")
    return {}


def _seconds(headers: http.client.HTTPMessage) -> float | None:
    text = (headers.get("Retry-After") or "").strip()
    return float(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - 30 years are enough


def _is_retried(status: int) -> bool:
    return status in _RETRIED or status >= 500  # noqa: PLR2004 - HTTP's own classes


def _said(answer: Answer) -> str:
    if answer.status == 503 and "sealed" in answer.reason.lower():  # noqa: PLR2004 - Vault's own code
        return f"is sealed or not initialised (503: {answer.reason})"
    return f"answered {answer.status}: {answer.reason}"


def _gave_up(address: str, what: str, retry_after: float | None, remedy: str) -> AgentError:
    if retry_after is not None:
        what += f" (asked to wait {retry_after:.0f} s, past the deadline)"
    usual = "unseal it" if "is sealed" in what else "check the server, the network policy and DNS"
    remedy = remedy or usual
    return AgentError("unreachable", f"{address} {what}", f"{remedy}; the kubelet starts this again")


def _network_problem(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, TimeoutError):
        return "gave no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"can't be reached: {error.strerror}"
    return f"broke off or gave no HTTP answer ({type(error).__name__})"


def _utc(seconds: float) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - rarely needed

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
