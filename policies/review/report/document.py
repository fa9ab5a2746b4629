"""The facts as JSON, for programs. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from policies.review import show
from policies.review.inventory import AuthRole, PolicyFile
from policies.review.lint import report as lint
from policies.review.origin import origin, unused_json
from policies.review.report.access import Access
from policies.review.report.facts import Facts, Since, Usage


def document(facts: Facts) -> str:
    """Keys keep their order. Bytes that are no UTF-8 in a path are written as U+FFFD, as JSON has no others."""
    made = facts.made
    whole = {
        "version": 1,
        "at": made.now.isoformat(),
        "folder": made.folder,
        "commit": made.commit,
        "edited": made.edited,
        "dialect": made.dialect,
        "podkeys": made.version,
        "clusters": [
            {"name": one.name, "server": one.server, "authMount": one.mount} for one in facts.clusters
        ],
        "policies": [_policy(name, file) for name, file in facts.inventory.policies.items()],
        "authRoles": [_role(role) for role in facts.inventory.roles],
        "services": list(map(_service, facts.accesses)),
        "lint": lint.as_json(facts.lint),
        "since": _since(facts.since) if facts.since else None,
        "usage": _usage(facts.usage) if facts.usage else None,
    }
    return json.dumps(_clean(whole), indent=2) + "\n"


def _policy(name: str, file: PolicyFile) -> dict[str, Any]:
    said = origin(file)
    return {"name": name, "file": file.file, "owner": said.owner, "roleFile": said.role_file}


def _role(role: AuthRole) -> dict[str, Any]:
    return {
        "mount": role.mount,
        "name": role.name,
        "file": role.file,
        "policies": list(role.policies),
        "serviceAccounts": list(map(str, role.accounts)),
        "audiences": list(role.login.audiences),
        "ttlSeconds": role.login.token.ttl,
    }


def _service(access: Access) -> dict[str, Any]:
    service = access.service
    return {
        "subject": service.subject.name,
        "name": service.name,
        "cluster": service.cluster,
        "namespace": service.namespace,
        "owner": service.owner,
        "roleFile": service.source,
        "policies": list(service.subject.policies),
        "missingPolicies": list(service.subject.missing),
        "secrets": [
            {
                "path": secret.path,
                "server": secret.server,
                "read": mark.read,
                "write": mark.write,
                "limited": mark.limited,
                "named": mark.named,
            }
            for secret, mark in access.secrets.items()
        ],
        "powers": [
            {
                "meaning": power.meaning,
                "path": power.path,
                "capabilities": list(power.capabilities),
                "limited": power.limited,
                "by": list(power.places),
            }
            for power in access.powers
        ],
    }


def _since(since: Since) -> dict[str, Any]:
    return {
        "ref": since.ref,
        "commit": since.commit,
        "access": [show.change_json(one) | lint.covered_json(waiver) for one, waiver in since.access],
        "logins": [
            {
                "authRole": one.role,
                "before": list(one.before),
                "after": list(one.after),
                "asksOtherwise": one.otherwise,
                "missingPolicies": list(one.unknown),
            }
            | lint.covered_json(waiver)
            for one, waiver in since.logins
        ],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "requests": usage.requests,
        "first": usage.first,
        "last": usage.last,
        "unused": list(map(unused_json, usage.unused)),
        "silentPolicies": list(usage.silent),
        "skipped": dict(usage.skipped),
        "wrongLines": usage.wrong,
    }


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return list(map(_clean, value)) if isinstance(value, list) else value
