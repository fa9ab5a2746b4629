"""Random policies with templates, in pairs that share some stanzas."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

from policies.acl.dialects import NEWEST, Dialect
from policies.acl.errors import PolicyError
from policies.acl.parse import parse_policy
from policies.acl.rules import Rules
from tests.policies import random_policies

NAME = "identity.entity.name"
TEAM, SITE = "identity.entity.metadata.team", "identity.entity.metadata.site"
SELECTORS = (NAME, TEAM, SITE)
NOW = datetime.now(UTC)


def rules(text: str, *loose: str, dialect: Dialect = NEWEST) -> Rules:
    policy = parse_policy(text, "p", dialect=dialect, now=NOW)
    return Rules([replace(policy, loose=loose)], dialect=dialect, now=NOW)


def grant(path: str, *capabilities: str) -> str:
    return f"path {json.dumps(path)} {{ capabilities = {json.dumps(capabilities)} }}\n"


@dataclass(frozen=True)
class Pair:
    """Old and new, which share some stanzas, some of them with templates."""

    old: Rules
    new: Rules
    texts: tuple[str, str]
    paths: list[str]


def pairs(seed: int, count: int, dialect: Dialect) -> Iterator[Pair]:
    random, made = Random(seed), 0  # noqa: S311 - repeatable is what is wanted
    while made < count:
        shared = [_templated(random) for _ in range(random.randint(0, 3))]
        sides = [shared + [_templated(random) for _ in range(random.randint(0, 2))] for _ in range(2)]
        common = random_policies.policy(random, shared[:2], dialect)
        first, second = (common + random_policies.policy(random, side, dialect) for side in sides)
        try:
            old, new = rules(first, dialect=dialect), rules(second, dialect=dialect)
        except PolicyError:
            continue
        if first and second and (old.templates or new.templates):
            made += 1
            yield Pair(old, new, (first, second), [*sides[0], *sides[1], "a"])


def _templated(random: Random) -> str:
    """A path of which most have a template, or two."""
    path = random_policies.path(random)
    for _ in range(random.choice((0, 1, 1, 2))):
        at = random.randrange(len(path) + 1)
        path = f"{path[:at]}{{{{{random.choice(SELECTORS)}}}}}{path[at + random.choice((0, 1, 2)) :]}"
    whole = path.count("{{") == path.count("}}") and "{{{" not in path and "}}}" not in path
    return path if whole else "a"
