"""The namespaces that a cluster has now, and which of them an auth role's bindings fit. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from policies.acl.logins import Account
from policies.review.globs import fits
from policies.review.selectors import SelectorError, selector

Labels = Mapping[str, Mapping[str, str]]  # of each namespace, by its name


@dataclass(frozen=True, slots=True)
class Now:
    """`namespaces`: those that fit, sorted; None where that can't be told, and `why` not, in words."""

    namespaces: tuple[str, ...] | None
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """`mounts`: the auth mounts whose roles are for its service accounts."""

    labels: Labels
    mounts: frozenset[str]
    _found: dict[tuple[str, str], Now] = field(default_factory=dict)

    def now(self, account: Account) -> Now:
        """Each binding is looked up once: there may be thousands of roles and of namespaces."""
        key = account.namespace, account.selector
        if key not in self._found:
            try:
                self._found[key] = Now(tuple(sorted(self._fitting(account))))
            except SelectorError as error:
                self._found[key] = Now(None, f"the selector can't be read: {error}")
        return self._found[key]

    def _fitting(self, account: Account) -> Iterator[str]:
        if not account.selector:
            yield from (name for name in self.labels if fits(account.namespace, name))
            return
        asked = selector(account.selector)
        for name, labels in self.labels.items():
            if all(one.fits(labels) for one in asked):
                yield name
