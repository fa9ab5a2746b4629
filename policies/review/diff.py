"""What a change of policies gives and takes, over all paths, by who has them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from policies.acl.changes import Change, compared
from policies.review.inventory import Inventory
from policies.review.subjects import Policies, Subject, subjects


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two trees."""

    inventory: Inventory
    policies: Policies


def changes(old: Side, new: Side) -> Iterator[Change]:
    """By subject. Raises ReviewError for a policy that can't be parsed, TooManyError for too many patterns."""
    before = {subject.name: subject for subject in subjects(old.inventory)}
    after = {subject.name: subject for subject in subjects(new.inventory)}
    for name in sorted(before.keys() | after.keys()):
        was, becomes = before.get(name, Subject(name, ())), after.get(name, Subject(name, ()))
        if _texts(old, was) != _texts(new, becomes):
            yield from compared(name, old.policies.rules(was), new.policies.rules(becomes))


def _texts(side: Side, subject: Subject) -> list[tuple[str, bytes]]:
    return sorted((name, side.inventory.policies[name].text) for name in subject.policies)
