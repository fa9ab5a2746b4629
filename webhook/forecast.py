"""What a workload's pods have to expect, as warnings: Kubernetes accepts the workload, and only its events would say
why no pod comes. Pure.

The API server keeps 4,096 characters of warnings in all; beyond that it cuts each after 256 and drops the rest.
"""

from webhook.outcome import Deny, Inject, Outcome
from webhook.wording import clip

MAX_ADVICE = 120  # clients cut longer ones, and advice is short
MAX_LENGTH = 256
MAX_WARNINGS = 10
UNCERTAIN = ("malformed", "internal")  # the pod itself may be read, and decided, another time


def advice(outcome: Inject) -> list[str]:
    """The warnings that come with a pod."""
    return [clip(warning, MAX_ADVICE) for warning in outcome.warnings]


def forecast(outcome: Outcome) -> list[str]:
    """One warning a problem, or those that each of the pods would get; each on one line."""
    if isinstance(outcome, Inject):
        return advice(outcome)
    if not isinstance(outcome, Deny):
        return []
    said = "not looked at" if outcome.reason in UNCERTAIN else "its pods will be refused"
    shown = outcome.problems[:MAX_WARNINGS]
    more = [f"podkeys: {said}, for more reasons than these"] if len(outcome.problems) > len(shown) else []
    return [clip(f"podkeys: {said}: {problem}", MAX_LENGTH) for problem in shown] + more
