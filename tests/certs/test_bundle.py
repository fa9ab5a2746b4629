"""Whom a pod trusts, and when it stops."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import bundle, pem
from certs.bundle import Issuer
from certs.errors import CertificateError
from tests.certs import authority
from tests.certs.authority import NOW, ca_asked

OLD, NEW, OTHER = (authority.root(name).pem for name in ("old", "new", "other"))
EXPIRED = authority.root(asked=ca_asked("expired", end=NOW - dt.timedelta(seconds=1))).pem


def blocks(text: bytes) -> set[bytes]:
    return set(bundle.split(text)) if text else set()


def test_only_an_issuer_with_its_key_here_neither_revoked_nor_expired_is_trusted() -> None:
    """A corporate root that came along with a chain would let everything it ever signed in."""
    listed = [
        Issuer(NEW, has_key=True, revoked=False),
        Issuer(OTHER, has_key=False, revoked=False),
        Issuer(OLD, has_key=True, revoked=True),
        Issuer(EXPIRED, has_key=True, revoked=False),
    ]
    assert bundle.live_issuers(listed, NOW) == (NEW,)


@given(st.permutations([OLD, NEW, OTHER, OLD]))
def test_a_listing_gives_the_same_bytes_in_any_order(pems: list[bytes]) -> None:
    """Unchanged trust is no change of files."""
    live = bundle.live_issuers([Issuer(block, has_key=True, revoked=False) for block in pems], NOW)
    assert live == tuple(sorted({OLD, NEW, OTHER}))
    assert bundle.union(b"", live, NOW, complete=True) == b"".join(sorted({OLD, NEW, OTHER}))


def test_text_around_a_certificate_and_its_line_ends_do_not_make_it_another() -> None:
    dressed = b"# the root\r\n" + NEW.replace(b"\n", b"\r\n") + b"\r\n"
    assert bundle.live_issuers([Issuer(dressed, has_key=True, revoked=False)], NOW) == (NEW,)


@settings(max_examples=50)
@given(
    previous=st.sets(st.sampled_from([OLD, NEW, OTHER])), live=st.lists(st.sampled_from([OLD, NEW, OTHER]))
)
def test_trust_never_shrinks_because_a_request_failed(previous: set[bytes], live: list[bytes]) -> None:
    joined = bundle.union(b"".join(previous), live, NOW, complete=False)
    assert blocks(joined) == previous | set(live)
    assert bundle.union(joined, live, NOW, complete=False) == joined


def test_an_issuer_leaves_when_a_complete_listing_lacks_it() -> None:
    assert bundle.union(OLD + NEW, [NEW], NOW, complete=True) == NEW
    assert bundle.union(OLD, [], NOW, complete=True) == b""


def test_an_issuer_leaves_when_it_has_expired_also_while_requests_fail() -> None:
    assert bundle.union(EXPIRED + OLD, [], NOW, complete=False) == OLD
    assert bundle.union(OLD, [EXPIRED], NOW, complete=True) == b""
    last_moment = pem.certificates(EXPIRED)[0].not_valid_after_utc
    assert bundle.union(EXPIRED, [], last_moment, complete=False) == EXPIRED


@pytest.mark.parametrize("content", [b"x", OLD[:-30], b"\x30\x82"], ids=["no PEM", "truncated", "DER"])
def test_a_listing_that_is_no_certificate_is_an_error_and_not_less_trust(content: bytes) -> None:
    with pytest.raises(CertificateError, match="issuer: got"):
        bundle.live_issuers([Issuer(content, has_key=True, revoked=False)], NOW)


def test_a_bundle_splits_into_its_certificates_in_order() -> None:
    assert bundle.split(NEW + b"text\n" + OLD) == (NEW, OLD)
    with pytest.raises(CertificateError, match="bundle: got an empty file"):
        bundle.split(b"")


def test_a_bundle_without_end_is_refused() -> None:
    with pytest.raises(CertificateError, match="got 1001 certificates, expected at most 1000"):
        bundle.split(NEW * 1001)
