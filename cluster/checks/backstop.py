"""Whether the admission policies inside the API server hold where the chart makes them hold. Pure."""

from collections.abc import Iterator, Mapping

from cluster.backstop import Backstop, Binding
from cluster.facts import UPGRADE, Registration, installed_in
from cluster.finding import Fact, Finding, Unread, count, failed, listed, ok

REQUIRED = ("pods.podkeys.dev", "exec.podkeys.dev")
OPTIONAL = "tokens.podkeys.dev"


def backstop_bound(found: Fact[Mapping[str, Backstop]], registration: Fact[Registration | None]) -> Finding:
    """Not its expressions: those are the release's, and only whoever may do everything can change them."""
    name = "backstop"
    if isinstance(found, Unread):
        return found.finding(name)
    free = {"kube-system", installed_in(registration)}
    wanted = (*REQUIRED, OPTIONAL) if OPTIONAL in found else REQUIRED
    problems = [problem for policy in wanted for problem in _problems(policy, found.get(policy), free)]
    if problems:
        return failed(
            name,
            got=listed(problems),
            expected="ValidatingAdmissionPolicies of the chart, failing closed and bound with Deny, in every namespace but "
            + " and ".join(sorted(free)),
            remedy=f"{UPGRADE} puts them back; where it leaves a field, kubectl delete the policy and its bindings first",
        )
    off = "" if OPTIONAL in found else f"; {OPTIONAL} is off (backstop.tokenRequests)"
    return ok(name, f"{', '.join(sorted(found))}{off}")


def _problems(name: str, policy: Backstop | None, free: set[str]) -> Iterator[str]:
    if policy is None:
        yield f"no {name}"
        return
    if policy.failure_policy != "Fail":
        yield f"{name} has failurePolicy {policy.failure_policy}"
    if policy.unmatched:
        yield f"{name} does not match {', '.join(policy.unmatched)}"
    if policy.narrowed:
        yield f"{name} is narrowed by {', '.join(policy.narrowed)}"
    denying = [item for item in policy.bindings if "Deny" in item.actions]
    if not denying:
        yield f"{name} is not bound with Deny"
    holes = [list(_holes(item, free)) for item in denying]
    if all(holes):  # one binding that is whole is enough, whatever others say
        yield from (hole for each in holes for hole in each)


def _holes(binding: Binding, free: set[str]) -> Iterator[str]:
    if binding.narrowed:
        yield f"binding {binding.name} is narrowed by {', '.join(binding.narrowed)}"
    more = sorted(binding.left_out - free)
    if more:
        yield f"binding {binding.name} leaves out {count(len(more), 'namespace')}: {', '.join(more)}"
