"""Who can do it, and why can this one, or can't. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from policies.acl.decide import Decision, Operation, Reason, Request, decided
from policies.acl.dialects import DIALECTS, Dialect
from policies.acl.stanza import Stanza
from policies.review.errors import ReviewError
from policies.review.inventory import Inventory
from policies.review.subjects import Policies, Subject, subjects

OPERATIONS = {
    "read": (Operation.READ, None),
    "create": (Operation.WRITE, False),
    "update": (Operation.WRITE, True),
    "patch": (Operation.PATCH, None),
    "delete": (Operation.DELETE, None),
    "list": (Operation.LIST, None),
    "scan": (Operation.SCAN, None),
    "subscribe": (Operation.SUBSCRIBE, None),
    "recover": (Operation.RECOVER, None),
}
_OPEN = (b"*", b"+", b"{{", b"\\", b"<<")


@dataclass(frozen=True, slots=True)
class Answer:
    """`conditions`: what is demanded besides, in words."""

    subject: Subject
    decision: Decision

    @property
    def stanzas(self) -> tuple[Stanza, ...]:
        return self.decision.deciding.stanzas if self.decision.deciding else ()

    @property
    def may(self) -> bool:
        """Whether some request of this kind is granted: with the right parameters, with approval."""
        return self.decision.allowed or self.decision.reason in _CONDITIONAL

    @property
    def condition(self) -> str:
        return "" if self.decision.allowed or not self.may else _CONDITIONAL[self.decision.reason]


_CONDITIONAL = {
    Reason.HELD: "with the approval of its control group",
    Reason.WRAPPING: "with response wrapping",
    Reason.REQUIRED: "with its required parameters",
    Reason.PAGE: "in pages",
    Reason.EVENTS: "of some types of events",
}


def check(operation: str, dialect: Dialect) -> None:
    """Raises ReviewError where servers of this dialect have no such operation: nobody can would be no answer."""
    if operation not in dialect.capabilities:
        known = ", ".join(name for name, other in DIALECTS.items() if operation in other.capabilities)
        raise ReviewError(
            f"got {operation}, expected an operation that {dialect.name} has; name a server that has it with --dialect: {known}"
        )


def ask(rules_of: Policies, subject: Subject, operation: str, path: str) -> Answer:
    """One of OPERATIONS. Raises ReviewError for a policy that can't be parsed."""
    kind, exists = OPERATIONS[operation]
    return Answer(subject, decided(rules_of.rules(subject), Request(kind, path, exists)))


def who_can(inventory: Inventory, rules_of: Policies, operation: str, path: str) -> Iterator[Answer]:
    """Those who may. Only policies that could say something about the path are parsed."""
    near = {name for name, file in inventory.policies.items() if _near(file.text, path)}
    by_role: dict[tuple[str, str], Answer] = {}
    for subject in subjects(inventory):
        about = tuple(name for name in subject.policies if name in near)
        if about:
            answer = ask(rules_of, replace(subject, policies=about), operation, path)
            alone = by_role.get((subject.role, subject.file))
            if subject.name == subject.role:
                by_role[subject.role, subject.file] = answer
            if answer.may and not (alone and _tells_no_more(answer, alone)):
                yield answer


def _tells_no_more(answer: Answer, alone: Answer) -> bool:
    """Of some who log in to a role, whether they may for the reason that all may: there may be thousands of them."""
    same = answer.stanzas == alone.stanzas and answer.condition == alone.condition
    return same and set(answer.subject.accounts) <= set(alone.subject.accounts)


def _near(text: bytes, path: str) -> bool:
    """Without wildcards, templates and escapes in it, a text must hold the path itself to match it."""
    bare = path.strip("/").encode()
    return bare in text or any(mark in text for mark in _OPEN)
