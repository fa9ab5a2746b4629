"""Where role files stand beside the tree, plan and apply take nothing that those files don't give."""

import shutil
from pathlib import Path

import pytest

from policies.apply import derived
from policies.apply.errors import TreeError
from tests.policies.applying import podkeys

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
CLUSTER = "eu-nl-prod-a"
POLICY = f"{CLUSTER}/payments/payments/policy.hcl"
SERVING = f"{CLUSTER}/payments/payments/pki.serving.json"


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """The example's tree, with its role, cluster and boundary files beside it."""
    shutil.copytree(EXAMPLE, tmp_path / "here")
    return tmp_path / "here" / "generated"


def refused(generated: Path, command: str = "apply", *more: str) -> str:
    """What was said; nothing answers at the address, so whoever asks there does not end so."""
    result = podkeys(command, generated, "any", f"--cluster={CLUSTER}", "--address=http://127.0.0.1:9", *more)
    assert result.return_value == 1, result.output
    return result.stderr


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_example_is_as_its_files_give_it(generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert derived.edited(generated) == ()
    monkeypatch.chdir(generated)
    assert derived.edited(Path()) == ()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (POLICY, '"kv/data/payments/stripe"', '"*"'),
        (SERVING, '"payments.payments.svc"', '"payments.payments.example.org"'),
        (SERVING, '"10.244.0.0/16"', '"10.0.0.0/8"'),
        (SERVING, '"max_ttl": 3600', '"max_ttl": 31536000'),
        (f"{CLUSTER}/payments/payments/auth.payments-api.json", '"token_ttl": 3600', '"token_ttl": 86400'),
    ],
)
def test_what_was_written_by_hand_is_refused(generated: Path, file: str, old: str, new: str) -> None:
    change(generated / file, old, new)
    for command in ("plan", "apply"):
        said = refused(generated, command)
        assert f"not as the role, cluster and boundary files beside it give them: {file}; expected" in said


def test_a_role_that_is_gone_and_still_in_the_tree_is_refused(generated: Path) -> None:
    (generated.parent / "roles" / "payments.yaml").unlink()
    said = refused(generated)
    assert "payments/payments/auth.payments-api.json" in said
    assert "and 6 more" in said


def test_another_cluster_does_not_stop_this_one(generated: Path) -> None:
    other = next(generated.glob("eu-de-prod-b/*/*/policy.hcl"))
    change(other, "read", "list")
    edited = derived.edited(generated)
    assert edited == (other.relative_to(generated).as_posix(),)
    derived.check(generated, edited, CLUSTER)
    with pytest.raises(TreeError, match="eu-de-prod-b"):
        derived.check(generated, edited, "eu-de-prod-b")


def test_files_beside_it_that_are_wrong_are_named(generated: Path) -> None:
    change(generated.parent / "roles" / "payments.yaml", "kind: ServiceRole", "kind: Role")
    said = refused(generated)
    assert "can't be compared with the files beside it" in said
    assert "payments.yaml:" in said


def test_a_boundary_beside_it_holds_here_too(generated: Path) -> None:
    change(generated.parent / "boundaries" / "payments.yaml", "kv/payments", "kv/elsewhere")
    said = refused(generated)
    assert "can't be compared with the files beside it" in said
    assert "outside" in said


def test_a_tree_alone_is_taken_as_it_is(generated: Path) -> None:
    change(generated / POLICY, '"kv/data/payments/stripe"', '"*"')
    shutil.rmtree(generated.parent / "roles")
    assert derived.edited(generated) == ()
