"""How HashiCorp Vault differs from OpenBao where plan and apply depend on it.

Asked of the real program where PODKEYS_VAULT names one, else of OpenBao behind what answers as it does: so what the other tests rely on
is the same in both.
"""

import http.client
import urllib.error
from collections.abc import Iterator
from dataclasses import replace

import pytest

from demo.mounts import Mounts
from demo.openbao import Server
from policies.apply.protections import product
from tests.policies import trees
from tests.policies.applying import forget
from tests.policies.as_vault import NOT_IN_PKI_ROLES, vault_like

POLICY = "sys/policies/acl/podkeys.facts.a.b"


@pytest.fixture
def vault(bao: Server) -> Iterator[Server]:
    with vault_like(bao.address) as between:
        yield replace(bao, address=between.address)
    forget(bao)


def test_health_says_which_product_it_is(vault: Server) -> None:
    server = product(vault.call("GET", "sys/health"))
    assert server.is_vault
    assert server.version >= (1, 21)


def test_policies_have_no_check_and_set(vault: Server) -> None:
    vault.call("PUT", POLICY, {"policy": "# one", "cas": -1})
    vault.call("PUT", POLICY, {"policy": "# two", "cas": -1})
    stands = vault.call("GET", POLICY)["data"]
    assert stands["policy"] == "# two"
    assert "version" not in stands


def test_pki_roles_drop_five_fields(vault: Server, mounts: Mounts) -> None:
    path = f"{mounts.serving}/roles/podkeys.a.b.serving"
    vault.call("POST", path, trees.pki_fields(**trees.POD_IP, not_before=""))
    stands = vault.call("GET", path)["data"]
    assert not set(NOT_IN_PKI_ROLES) & set(stands)
    assert stands["allow_ip_sans"] is True


def test_pki_roles_have_a_field_of_their_own(vault: Server, mounts: Mounts) -> None:
    """Left out, the subject's serial number would come from the request, too."""
    path = f"{mounts.serving}/roles/podkeys.a.b.serving"
    vault.call("POST", path, {**trees.pki_fields(), "serial_number_source": "json"})
    assert vault.call("GET", path)["data"]["serial_number_source"] == "json"


def test_a_role_with_addresses_signs_any(vault: Server, mounts: Mounts) -> None:
    vault.call(
        "POST", f"{mounts.serving}/roles/ips", trees.pki_fields(**trees.POD_IP) | {"require_cn": False}
    )
    body = {"csr": trees.csr(), "ip_sans": "8.8.8.8"}
    assert vault.call("POST", f"{mounts.serving}/sign/ips", body)["data"]["certificate"]


def test_a_role_alone_signs_for_longer_than_its_max_ttl(vault: Server, mounts: Mounts) -> None:
    """So the generated policy, which allows no not_after, is the only line."""
    vault.call("POST", f"{mounts.serving}/roles/long", trees.pki_fields(allowed_domains=["a.b"]))
    body = {"csr": trees.csr(), "alt_names": "a.b", "not_after": "2030-01-01T00:00:00Z"}
    answer = vault.call("POST", f"{mounts.serving}/sign/long", body)["data"]
    assert answer["expiration"] > 1_890_000_000


def test_a_namespace_is_ignored_in_silence(vault: Server) -> None:
    connection = http.client.HTTPConnection(vault.address.removeprefix("http://"), timeout=10)
    headers = {"X-Vault-Token": vault.root_token, "X-Vault-Namespace": "nowhere"}
    connection.request("GET", "/v1/sys/policies/acl/default", headers=headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_scan_is_no_operation(vault: Server, mounts: Mounts) -> None:
    with pytest.raises(urllib.error.HTTPError, match="405"):
        vault.call("SCAN", f"{mounts.kv}/metadata")
