"""What is issued and not renewed: certificates of one role matched with those that came after them."""

import datetime as dt
import ipaddress
from typing import Any

from cryptography import x509

from certs.pem import to_pem
from cluster.checks import issued
from cluster.finding import Finding, Unread
from cluster.server_facts import Issued
from tests.cluster.trees import NOW, SVID, certificate, tree

NAMES = (x509.DNSName("shop.shop"), x509.DNSName("shop.shop.svc"))
MINUTE = dt.timedelta(minutes=1)


def stored(age: float, *, revoked: bool = False, names: Any = NAMES, ca: bool = False) -> Issued:  # noqa: ANN401 - names
    """A certificate of an hour that was signed `age` minutes ago, backdated by a minute as servers do."""
    found, _ = certificate("leaf", days=61 / 1440, ca=ca, names=tuple(names), start=NOW - (age + 1) * MINUTE)
    return Issued(f"serial-{age:g}", to_pem(found).decode(), revoked)


def check(*items: Issued, total: int = 0) -> Finding:
    read = (items, total or len(items))
    return issued.certificates_renewed(tree(), "pki-east", read, NOW.timestamp(), use="serving")


def test_a_certificate_before_its_time_or_with_a_successor_is_renewed() -> None:
    assert check(stored(30)).result == "ok"
    found = check(stored(59), stored(31), stored(2))
    assert (found.result, found.got) == ("ok", "3 certificates in use, none overdue; 3 stored in pki-east")


def test_one_past_its_time_without_a_successor_is_named_with_its_role_and_end() -> None:
    found = check(stored(40))
    assert found.result == "failed"
    assert "podkeys.shop.shop.web (shop.shop shop.shop.svc) serial-40 ends 2026-11-25 12:20" in found.got


def test_each_certificate_is_the_successor_of_one_alone() -> None:
    """Two pods of one role, of which one stopped renewing."""
    found = check(stored(50), stored(49), stored(20))
    assert (found.result, "1 of 3 in use" in found.got) == ("failed", True)


def test_one_that_was_signed_soon_after_is_no_successor() -> None:
    assert check(stored(59), stored(50)).result == "failed"


def test_certificates_with_other_addresses_are_of_other_pods() -> None:

    pods = [[*NAMES, x509.IPAddress(ipaddress.ip_address(f"10.244.0.{number}"))] for number in (1, 2)]
    found = check(stored(40, names=pods[0]), stored(2, names=pods[1]))
    assert (found.result, "podkeys.shop.shop.web (10.244.0.1 shop.shop" in found.got) == ("failed", True)


def test_revoked_and_expired_certificates_and_those_of_authorities_are_not_in_use() -> None:
    for item in (
        stored(40, revoked=True),
        stored(70),
        stored(40, ca=True),
        Issued("x", "no certificate", revoked=False),
    ):
        assert check(item).result == "skipped"


def test_an_svid_is_known_by_its_id_and_a_name_of_no_role_is_said() -> None:
    svid = [x509.UniformResourceIdentifier(SVID)]
    live = issued.live(tree(), "spiffe-east", [stored(1, names=svid)], NOW.timestamp())
    assert [item.role for item in live] == ["podkeys.shop.shop.api"]
    assert "no generated role (x.example.com)" in check(stored(40, names=[x509.DNSName("x.example.com")])).got


def test_a_part_of_many_is_said_to_be_a_part() -> None:
    assert "1 of 9 stored in pki-east were read" in check(stored(1), total=9).got
    unread = Unread("forbidden", "allow it")
    assert issued.certificates_renewed(tree(), "pki-east", unread, 0, use="serving").result == "unknown"
