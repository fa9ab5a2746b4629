"""All that a report says, before it is written in any form."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from policies.acl.changes import Change
from policies.review.diff import LoginChange
from policies.review.diff_waivers import Marked
from policies.review.inventory import Inventory
from policies.review.lint.run import Report as Lint
from policies.review.origin import Unused
from policies.review.report.access import Access
from policies.review.report.services import Cluster


@dataclass(frozen=True, slots=True)
class Made:
    """`commit`: of the folder, empty where it is in no repository; `edited`: it has what was not committed."""

    now: datetime
    folder: str
    dialect: str
    version: str
    commit: str = ""
    edited: bool = False


@dataclass(frozen=True, slots=True)
class Since:
    """`ref` as it was asked for, and the commit that it was. With each change that gives something, the waiver for it, if there is one."""

    ref: str
    commit: str
    access: tuple[Marked[Change], ...]
    logins: tuple[Marked[LoginChange], ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """By an audit log. `unused`: without what all agents have.

    `silent`: policies none of whose tokens did anything. `skipped`: requests not looked at, by reason; `wrong` lines.
    """

    requests: int
    first: str
    last: str
    unused: tuple[Unused, ...]
    silent: tuple[str, ...]
    skipped: Mapping[str, int]
    wrong: int


@dataclass(frozen=True, slots=True)
class Facts:
    """`since` and `usage` are None where they weren't asked for."""

    made: Made
    inventory: Inventory
    clusters: tuple[Cluster, ...]
    accesses: tuple[Access, ...]
    lint: Lint
    since: Since | None = None
    usage: Usage | None = None
