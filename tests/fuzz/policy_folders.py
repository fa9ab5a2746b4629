"""Coverage-guided fuzzing of files in a folder of policies: ReviewError, or what all questions then work on.

Run as tests.fuzz.policies; files of deploy/example/generated in CORPUS_FOLDER help it on.
"""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["policies.review", "policies.acl.logins"]):
    from policies.acl.dialects import NEWEST
    from policies.review import folder
    from policies.review.errors import ReviewError
    from policies.review.lint import run, settings
    from policies.review.lint.tree import Reading, tree
    from policies.review.subjects import subjects

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLACES = ("a.json", "auth/jwt/role/b.json", "c.hcl")


def one(content: bytes) -> None:
    """The first byte chooses the name of the file: an export's place says what it is."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        file = Path(name, PLACES[content[0] % len(PLACES)] if content else PLACES[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content[1:])
        try:
            found = folder.read(Path(name))
            list(subjects(found))
            report = run.lint(tree(found, Reading(NEWEST, NOW)), settings.Settings(), NOW.date())
        except ReviewError:
            return
    for finding in report.findings:
        if min(finding.hit.line, finding.hit.column) < 1:
            raise RuntimeError(finding)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
