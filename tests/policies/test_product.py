"""What a server says of itself in sys/health."""

from typing import Any

import pytest

from policies.apply.protections import product

HEALTH: dict[str, dict[str, Any]] = {
    "OpenBao 2.7.2": {"version": "2.7.2"},
    "OpenBao 2.2.0": {"version": "2.2.0"},
    "OpenBao 2.3.0": {"version": "2.3.0"},
    "HashiCorp Vault 1.21.4": {"version": "1.21.4", "enterprise": False},
    "HashiCorp Vault 2.0.4": {"version": "2.0.4+ent", "enterprise": True},
    "HashiCorp Vault 1.9.10": {"version": "1.9.10"},
}


@pytest.mark.parametrize("name", HEALTH)
def test_health_says_which_product_answers(name: str) -> None:
    assert str(product(HEALTH[name])) == name


def test_namespaces_are_in_openbao_from_2_3_on_and_in_vault_enterprise() -> None:
    """The others ignore the header, and answer for their root."""
    having = {name for name, health in HEALTH.items() if product(health).has_namespaces}
    assert having == {"OpenBao 2.7.2", "OpenBao 2.3.0", "HashiCorp Vault 2.0.4"}
