"""Invariant: no review, of any shape and size, costs the webhook more than a bounded amount of work.

Work is counted, not timed: a machine may be busy. Python's own steps are executed instructions of its bytecode; C's are
what a text or a list is long, and the shapes of `hostile` are measured by `make bench`.
"""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import nearest
from tests.webhook import hostile
from tests.webhook.admissions import review
from webhook import wording

MOST_STEPS = 1_000_000  # some 20 ms of a processor; a usual review takes 5,000
MOST_READ = 600 * hostile.KILOBYTE  # in which most shapes hold as much as is read at all
SIZES = {
    "/mutate": (*hostile.SIZES.values(), MOST_READ),
    "/warn": (hostile.SIZES["37 KB"], MOST_READ),
}


def steps(work: Callable[[], object]) -> int:
    """How many instructions of bytecode it executes."""
    count = 0

    def local(frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ANN401 - as sys.settrace has it
        nonlocal count
        del frame, argument
        count += event == "opcode"
        return local

    def trace(frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ANN401 - as sys.settrace has it
        del event, argument
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return local

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("endpoint", hostile.ENDPOINTS)
@pytest.mark.parametrize("shape", hostile.SHAPES)
def test_no_shape_of_a_pod_costs_more_than_so_many_steps(shape: str, endpoint: str) -> None:
    counts = {}
    for size in SIZES[endpoint]:
        body = hostile.body(endpoint, shape, size)
        counts[size] = steps(partial(hostile.answer, endpoint, body))
    assert max(counts.values()) < MOST_STEPS, counts


PARTS = st.sampled_from(sorted(hostile.SHAPES))


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(PARTS, st.integers(0, 3000), min_size=2, max_size=4))
def test_shapes_together_cost_no_more(counts: dict[str, int]) -> None:
    """A pod with the annotations and the fields of several shapes."""
    whole: dict[str, Any] = hostile.asking()
    for name, count in counts.items():
        part = hostile.SHAPES[name](count)
        whole["metadata"]["annotations"] |= part["metadata"]["annotations"]
        whole["spec"] |= {
            key: value for key, value in part["spec"].items() if key != "containers" or len(value) > 1
        }
    body = review(whole)
    assert steps(lambda: hostile.answer("/mutate", body)) < MOST_STEPS


def test_hints_are_for_the_first_few_mistakes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one for each of hundreds of wrong names: all names may be the attacker's."""
    compared: list[str] = []

    def counted(name: str, known: Any) -> list[str]:  # noqa: ANN401 - as nearest has it
        compared.append(name)
        return nearest.nearest(name, known)

    monkeypatch.setattr(wording, "nearest", counted)
    for shape in ("wrong names everywhere", "wrong containers of few letters", "many format"):
        compared.clear()
        hostile.answer("/mutate", review(hostile.SHAPES[shape](100)))
        assert len(compared) == 5, shape
