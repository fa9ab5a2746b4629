"""Coverage-guided fuzzing of the policy parser and the lookup: an error with its place, or an answer, and nothing else.

Needs atheris, which is no part of the locked tools: pip install atheris, then
python -m tests.fuzz.policies -max_total_time=3600 -timeout=10 -rss_limit_mb=2048 CORPUS_FOLDER
"""

import sys

import atheris

with atheris.instrument_imports(include=["policies.acl"]):
    from policies.acl.decide import Operation, Request, decided, shown
    from policies.acl.dialects import DIALECTS
    from policies.acl.errors import PolicyError
    from policies.acl.language import TooManyError, representatives
    from policies.acl.parse import parse_policy
    from policies.acl.rules import Rules

CHOICES = list(DIALECTS.values())


def one(content: bytes) -> None:
    """The first byte chooses the dialect, the next twenty are a path, the rest is the policy."""
    dialect = CHOICES[content[0] % len(CHOICES)] if content else CHOICES[0]
    path, text = content[1:21].decode("utf-8", "replace"), content[21:]
    try:
        policy = parse_policy(text, "fuzzed", dialect=dialect)
    except PolicyError as error:
        if min(error.line, error.column) < 1:
            raise RuntimeError(error) from None
        return
    rules = Rules([policy], dialect=dialect)
    shown(rules, path)
    for operation in Operation:
        decided(rules, Request(operation, path, exists=False, parameters={"a": "x"}, wrap_ttl=5))
    try:
        for raw in representatives(rule.pattern for rule in rules):
            rules.decider(raw.decode("utf-8", "surrogateescape"), listing=True)
    except TooManyError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
