"""Whose address a call comes from behind gateways: what a caller says of itself changes nothing (R43)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.proxies import TrustedProxies, neighbourhood, networks

PROXIES = TrustedProxies(networks("10.0.0.0/8, fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.7,10.0.0.8", "10.0.0.7"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_callers(peer: str, forwarded: str, caller: str) -> None:
    assert PROXIES.caller(peer, forwarded) == caller


@given(forwarded=st.text(max_size=200))
def test_without_trusted_proxies_nothing_that_is_sent_counts(forwarded: str) -> None:
    assert TrustedProxies(()).caller("203.0.113.9", forwarded) == "203.0.113.9"


@given(said=st.text(max_size=200))
def test_what_the_caller_says_before_the_gateway_changes_nothing(said: str) -> None:
    assert PROXIES.caller("10.0.0.1", f"{said}, 198.51.100.1") == "198.51.100.1"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("", ""),
    ],
)
def test_an_ipv6_customer_counts_as_one(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted


@pytest.mark.parametrize("text", ["10.0.0.1/8", "everybody", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks(text)
