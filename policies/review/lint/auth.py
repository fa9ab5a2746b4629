"""Whom auth roles let in, and what token they give. Pure."""

from collections.abc import Iterator

from policies.review.lint.finding import Hit, at_role
from policies.review.lint.tree import Tree
from policies.review.selectors import SelectorError, selector

_NAMES = {"kubernetes": "bound_service_account_names", "jwt": "bound_claims"}
_NAMESPACES = {"kubernetes": "bound_service_account_namespaces", "jwt": "bound_claims"}
_AUDIENCES = {"kubernetes": "audience", "jwt": "bound_audiences"}
_RENEW = "auth/token/renew-self"


def any_account(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        if "*" in role.login.names:
            message = f"got any service account of {_list(role.login.namespaces) or 'its namespaces'}, expected the name of one: whoever may start a pod there logs in"
            yield at_role(role, _NAMES[role.login.method], message, "name the service account")


def any_namespace(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        if role.login.names and ("*" in role.login.namespaces or _is_open(role.login.selector)):
            message = f"got any namespace for {_list(role.login.names)}, expected the name of one: whoever may make a service account of that name anywhere logs in"
            yield at_role(role, _NAMESPACES[role.login.method], message, "name the namespace")


def _is_open(text: str) -> bool:
    """Whether a label selector asks for no label: it takes each namespace that somebody makes without one."""
    try:
        return bool(text) and all(one.operator in ("NotIn", "DoesNotExist") for one in selector(text))
    except SelectorError:
        return False  # none that servers agree on


def root(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        if "root" in role.policies:
            message = "got the policy root, expected none that may do everything; OpenBao takes the role and refuses each login with it"
            yield at_role(role, "token_policies", message, "name policies that grant what is needed")


def undefined(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        missing = [
            name for name in role.policies if name not in tree.names and name not in ("default", "root")
        ]
        if missing:
            message = f"got the policy {_list(tuple(missing))}, which isn't in this folder, expected one that is: whoever writes a policy of that name gives it to this role"
            yield at_role(role, "token_policies", message, "add the policy, or remove its name")


def no_audience(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        if role.login.names and not role.login.audiences:
            message = "got no audience, expected the server's own: a token that a pod gave to any other service logs in here"
            yield at_role(
                role,
                _AUDIENCES[role.login.method],
                message,
                'set the audience, such as "vault", and request tokens with it',
            )


def multiplied(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        login = role.login
        spaces = len(login.namespaces) + bool(login.selector)
        if len(login.names) > 1 and spaces > 1 and "*" not in (*login.names, *login.namespaces):
            message = f"got {len(login.names)} names and {spaces} namespaces, expected one of either: {len(login.names) * spaces} service accounts log in, each name in each namespace"
            yield at_role(role, _NAMES[login.method], message, "make an auth role for each service account")


def partial_globs(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        for fields, texts in ((_NAMES, role.login.names), (_NAMESPACES, role.login.namespaces)):
            for text in texts:
                if "*" in text and text != "*":
                    message = f'got "{text}", expected a whole name: whoever makes a service account or namespace that fits logs in'
                    yield at_role(role, fields[role.login.method], message, "name each service account")


def no_ttl(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        if not role.login.token.ttl and not role.login.token.period:
            message = "got no token_ttl, expected one: the server's default is 32 days"
            yield at_role(role, "token_ttl", message, "set token_ttl to an hour or less")


def no_end(tree: Tree) -> Iterator[Hit]:
    """A batch token isn't renewed. The maximum of a periodic one is the explicit one alone."""
    for role in tree.roles:
        token = role.login.token
        most = token.explicit_max_ttl if token.period else token.explicit_max_ttl or token.max_ttl
        if token.kind != "batch" and (token.ttl or token.period) and not most:
            what = "token_explicit_max_ttl" if token.period else "token_max_ttl"
            message = f"got no {what}, expected one: a stolen token is renewed {'for ever' if token.period else 'for 32 days, or what the mount allows'}"
            yield at_role(role, what, message, f"set {what}, such as 24h")


def unrenewed(tree: Tree) -> Iterator[Hit]:
    """The built-in default policy grants it, where the folder doesn't say otherwise."""
    for token in tree.tokens:
        role = token.role
        if (
            not role
            or not role.login.token.period
            or ("default" in role.policies and "default" not in tree.names)
        ):
            continue
        decider = token.rules(tree.reading).decider(_RENEW, listing=False)
        if decider is None or "update" not in decider.capabilities:
            message = f"got a token_period and no policy with update on {_RENEW}, expected one: nobody can renew the token"
            yield at_role(role, "token_period", message, f"have {_RENEW} granted, or set token_ttl instead")


def default_policy(tree: Tree) -> Iterator[Hit]:
    for role in tree.roles:
        if role.login.default_policy:
            message = "got the policy default beside the role's own, expected token_no_default_policy: it grants a cubbyhole, wrapping and lookups"
            yield at_role(
                role,
                "token_no_default_policy",
                message,
                "set token_no_default_policy, and grant what of it is needed",
            )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)
