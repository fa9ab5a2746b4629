"""What goes on in spite of a removal, until it ends by itself. Pure."""

from collections.abc import Iterator

from policies.apply.plan import Change, Plan
from policies.apply.tokens import Revocation


def staying(plan: Plan) -> tuple[str, ...]:
    """Sentences, for the logins and PKI roles that the plan deletes."""
    deleted = [change for change in plan.changes if change.action == "delete"]
    gone = {change.path.rpartition("/")[2] for change in deleted if change.kind == "policy"}
    revoked = any(isinstance(step, Revocation) for step in plan.steps)
    return tuple(line for change in deleted for line in _lines(change, gone, revoked=revoked))


def _lines(change: Change, gone: set[str], *, revoked: bool) -> Iterator[str]:
    fields = change.stored.fields if change.stored else {}
    name = change.path.rpartition("/")[2]
    if change.kind == "PKI role":
        if fields.get("generate_lease") is not True:
            yield f"certificates signed by {name} stay valid until they expire{_within(fields.get('max_ttl'))}"
    elif change.kind == "auth role":
        left = [str(policy) for policy in fields.get("token_policies") or () if policy not in gone]
        if fields.get("token_type") == "batch" and left:
            limit = _within(fields.get("token_max_ttl") or fields.get("token_ttl"))
            yield (
                f"batch tokens of {name} can't be revoked, and keep what {', '.join(left)} allows until they expire{limit}"
            )
        elif fields.get("token_type") != "batch" and not revoked:
            yield f"tokens of {name}, and their leases, stay until they expire or --revoke ends them"


def _within(seconds: object) -> str:
    return f", within {seconds} s" if isinstance(seconds, int) and seconds else ""
