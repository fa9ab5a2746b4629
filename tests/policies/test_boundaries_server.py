"""Why paths are compared as the server reads them: what a reader takes for one team's path is another team's secret."""

from pathlib import Path

import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.errors import ProblemsError
from tests.policies import role_texts
from tests.policies.role_texts import BOUNDARY, CLUSTER, ROLE

POLICY = "podkeys.east.data.payments"


def test_a_version_1_entry_would_read_anothers_version_2_secret_and_is_refused(
    bao: Server, mounts: Mounts, tmp_path: Path
) -> None:
    """Invariant 4 across teams: `kv/data/…` begins with the namespace `data`, and is where version 2 keeps all values."""
    bao.call("POST", f"{mounts.kv}/data/payments/stripe", {"data": {"key": "canary-of-payments"}})
    claim = ROLE.replace("namespace: payments", "namespace: data").replace(
        "path: kv/payments/stripe", "path: kv/data/payments/stripe, engine: kv1"
    )
    limits = BOUNDARY.replace("[payments]\n", "[data]\n").replace(
        "path: kv/payments", 'path: "kv/{namespace}"'
    )
    role, cluster, limits = (role_texts.on(mounts, text) for text in (claim, CLUSTER, limits))

    made = role_texts.generated(tmp_path / "open", role, cluster)
    bao.call("PUT", f"sys/policies/acl/{POLICY}", {"policy": made["east/data/payments/policy.hcl"].decode()})
    token = bao.call(
        "POST", "auth/token/create", {"policies": [POLICY], "no_default_policy": True, "ttl": "1m"}
    )
    secret = bao.call("GET", f"{mounts.kv}/data/payments/stripe", token=token["auth"]["client_token"])
    assert secret["data"]["data"] == {"key": "canary-of-payments"}

    where = role_texts.folders(tmp_path / "closed", {"r.yaml": role}, {"c.yaml": cluster}, {"b.yaml": limits})
    with pytest.raises(ProblemsError, match=r"payments/stripe \(engine kv1\)', outside .*b\.yaml:9"):
        role_texts.generate(where)
