"""Coverage-guided fuzzing of the reader of audit logs, and of `replay`: a line is an entry or none, and the rest of the log is read.

Run as tests.fuzz.policies; lines of a real log in CORPUS_FOLDER help it on.
"""

import io
import json
import sys
from datetime import UTC, datetime
from typing import Any

import atheris

with atheris.instrument_imports(include=["policies.review.auditlog", "policies.review.replay"]):
    from policies.acl.dialects import NEWEST
    from policies.review import auditlog
    from policies.review.auditlog import Entry
    from policies.review.inventory import Inventory, PolicyFile
    from policies.review.replay import Replay
    from policies.review.subjects import Policies, Reading

TEXT = b"""
path "kv/data/shop" {
  capabilities = ["read", "update"]
  denied_parameters = { "a" = ["x"] }
}
path "kv/+/b/*" {
  capabilities = ["create", "list"]
  allowed_parameters = { "a" = ["x", "y*"], "b" = [] }
  max_wrapping_ttl = "1m"
}
"""
NOW = datetime(2030, 1, 1, tzinfo=UTC)
INVENTORY = Inventory({"shop": PolicyFile("shop", "shop.hcl", TEXT)}, ())
POLICIES = Policies(INVENTORY, Reading(NEWEST, NOW))


def one(content: bytes) -> None:
    run = Replay(INVENTORY, POLICIES, dialect=NEWEST, now=NOW)
    read = list(auditlog.lines(io.BytesIO(content)))
    if b"".join(read) != content:
        raise RuntimeError("lines were lost")
    for line in read:
        try:
            entry = auditlog.entry(line)
        except ValueError:
            continue
        if entry:
            check(entry, json.loads(line, parse_int=float))
            run.add(entry)
    list(run.unused())
    run.silent()


def check(entry: Entry, document: Any) -> None:  # noqa: ANN401 - JSON
    """The standard library's parser is the oracle."""
    request, results = document.get("request"), document["auth"]["policy_results"]
    path = request.get("path") if isinstance(request, dict) else ""
    if isinstance(path, str) and entry.path != path:
        raise RuntimeError(f"got the path {entry.path!r}, expected {path!r}")
    if entry.allowed and results["allowed"] is not True:
        raise RuntimeError(f"got allowed, expected what {results} says")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
