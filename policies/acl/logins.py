"""What an auth role of the kubernetes or the jwt method asks of whoever logs in, and what token it gives. Pure.

Fields and defaults: the API documentation of the two methods, and `tokenutil` for those that begin with `token_`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policies.acl.times import seconds

_SUBJECT = "system:serviceaccount:"
_NAME = "serviceaccount/name"
_NAMESPACE = "kubernetes.io/namespace"
_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})  # RFC 7519
ANY = ("*",)


@dataclass(frozen=True, slots=True)
class Token:
    """Seconds, 0 where nothing is said and the server's own limits hold."""

    kind: str
    ttl: float
    max_ttl: float
    explicit_max_ttl: float
    period: float


@dataclass(frozen=True, slots=True)
class Login:
    """`names` and `namespaces` of service accounts, `*` for any; none where the role isn't for service accounts.

    Each name counts with each namespace. `selector`: a label selector of namespaces, or empty.
    `alias`: what the token's entity is called after.
    """

    method: str
    names: tuple[str, ...]
    namespaces: tuple[str, ...]
    selector: str
    audiences: tuple[str, ...]
    alias: str
    policies: tuple[str, ...]
    default_policy: bool
    token: Token


@dataclass(frozen=True, slots=True)
class Account:
    """`*` in either stands for anything, as the server takes it. `selector`: a label selector of namespaces, or empty."""

    namespace: str
    name: str
    selector: str = ""

    def __str__(self) -> str:
        where = f"namespaces with {self.selector}" if self.selector else self.namespace
        return f"{self.name} in {where}"


def login(data: Mapping[str, object]) -> Login:
    """Of the fields of a role, as they are written and as they are read."""
    method = _method(data)
    names, namespaces = _bound(data, method)
    return Login(
        method,
        names,
        namespaces,
        str(data.get("bound_service_account_namespace_selector") or ""),
        _texts(data.get("audience")) if method == "kubernetes" else _texts(data.get("bound_audiences")),
        str(data.get("alias_name_source") or data.get("user_claim") or ""),
        _texts(data.get("token_policies") or data.get("policies")),
        data.get("token_no_default_policy") is not True,
        _token(data),
    )


def _method(data: Mapping[str, object]) -> str:
    if "bound_service_account_names" in data:
        return "kubernetes"
    return "jwt" if "user_claim" in data or "role_type" in data else ""


def _bound(data: Mapping[str, object], method: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and namespaces."""
    if method == "kubernetes":
        names = _texts(data.get("bound_service_account_names"))
        return names, _texts(data.get("bound_service_account_namespaces"))
    return _claimed(data) if method == "jwt" else ((), ())


def _claimed(data: Mapping[str, object]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a jwt role: it takes anybody whom the issuer knows, but for what it binds."""
    subject, claims = str(data.get("bound_subject") or ""), data.get("bound_claims")
    bound = claims if isinstance(claims, Mapping) else {}
    if subject.startswith(_SUBJECT):
        namespace, _, name = subject.removeprefix(_SUBJECT).partition(":")
        return (name,), (namespace,)
    subjects = _subjects(bound)
    found = [one for one in map(_account, subjects) if one]
    if subject or (subjects and not found) or not all(_may_be_a_pods(str(name)) for name in bound):
        return (), ()  # another kind of client than a service account
    names = _claim(bound, _NAME) or tuple(dict.fromkeys(name for _, name in found))
    namespaces = _claim(bound, _NAMESPACE) or tuple(dict.fromkeys(namespace for namespace, _ in found))
    return names or ANY, namespaces or ANY


def _subjects(bound: Mapping[object, object]) -> tuple[str, ...]:
    return next((_texts(value) for name, value in bound.items() if str(name).lstrip("/") == "sub"), ())


def _account(subject: str) -> tuple[str, str] | None:
    """Namespace and name that a subject stands for, which may hold `*`; None for what is no service account's."""
    if not subject.startswith(_SUBJECT):
        start, star, _ = subject.partition("*")
        return ("*", "*") if star and _SUBJECT.startswith(start) else None
    namespace, colon, name = subject.removeprefix(_SUBJECT).partition(":")
    return namespace, name if colon else "*"


def _may_be_a_pods(claim: str) -> bool:
    """Whether the tokens of service accounts have the claim: what else is asked there is no limit to one of them."""
    return "kubernetes.io" in claim or claim.endswith(_NAME) or claim.lstrip("/") in _REGISTERED


def _claim(bound: Mapping[object, object], ending: str) -> tuple[str, ...]:
    return next((_texts(value) for name, value in bound.items() if str(name).endswith(ending)), ())


def _token(data: Mapping[str, object]) -> Token:
    def life(name: str) -> float:
        value = data.get(f"token_{name}") or data.get(name) or 0
        return (seconds(value) if isinstance(value, str | int | float) else None) or 0

    kind = str(data.get("token_type") or "")
    return Token(kind, life("ttl"), life("max_ttl"), life("explicit_max_ttl"), life("period"))


def _texts(value: object) -> tuple[str, ...]:
    """Of a list of texts or of one, with commas, as the server takes both; a number is taken for its text."""
    if isinstance(value, str | int | float):
        return tuple(part.strip() for part in str(value).split(",") if part.strip())
    return tuple(str(part) for part in value) if isinstance(value, list) else ()


def accounts(found: Login) -> Iterator[Account]:
    for name in found.names:
        yield from (Account(space, name) for space in found.namespaces)
        if found.selector:
            yield Account("", name, found.selector)
