"""Emails: one spelling for one mailbox, and the same one however often it is made (Spotify 2013, Django 2019-19844)."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auth_service import emails
from protos.auth.v1.auth_service_pb2 import LogInRequest, SignUpRequest
from tests.authtest import PASSWORD, Auth

HANGUL = range(0xAC00, 0xD7A4)  # eleven thousand that all behave alike
CHANGEABLE = [
    letter
    for letter in map(chr, range(0x80, 0x20000))
    if ord(letter) not in HANGUL
    and not "\ud800" <= letter <= "\udfff"
    and (letter != letter.lower() or letter != letter.upper() or letter != unicodedata.normalize("NFKD", letter))
]
parts = st.text(st.sampled_from(CHANGEABLE) | st.characters(codec="utf-8") | st.sampled_from(".+-_'"), max_size=12)


def settles(text: str) -> bool:
    """Whether it is refused, or normalised to what every further round leaves as it is."""
    once = emails.normalise(text)
    return once is None or emails.normalise(once) == once


@settings(max_examples=400, deadline=None)
@given(local=parts, domain=parts)
@example(local="\u1d2e\u1d35\u1d33\u1d2e\u1d35\u1d3f\u1d30", domain="example")
@example(local="\u0130", domain="\u0130\u0130")
@example(local="\u212aelvin", domain="\u212a")
@example(local="\u03a3\u03a3", domain="stra\u00dfe")
def test_what_was_normalised_stays_as_it_is(local: str, domain: str) -> None:
    assert settles(f"{local}@{domain}.com")
    assert settles(f"{local}@example.com")


def test_no_letter_that_any_normalisation_changes_is_changed_twice() -> None:
    """All of Unicode's letters with a case or a composition, in both parts of an address."""
    assert len(CHANGEABLE) > 5_000
    restless = [hex(ord(letter)) for letter in CHANGEABLE if not settles(f"a{letter}\u0301\u0323@example.com")]
    assert restless == []


def test_no_letter_is_changed_twice_in_a_domain() -> None:
    cased = [letter for letter in CHANGEABLE if letter.lower() != letter.upper()]
    assert len(cased) > 2_000
    assert [hex(ord(letter)) for letter in cased if not settles(f"a@b{letter}.com")] == []


plain = st.text(st.sampled_from("abAB09._+-'@xn"), max_size=20)


@settings(max_examples=500, deadline=None)
@given(
    local=plain | parts, domain=plain | parts, top=st.sampled_from(["", ".com", ".COM", ".test", ".local", ".c0m", "."])
)
@example(local="a" * 64, domain="b" * 63 + "." + "c" * 63 + "." + "d" * 57, top=".com")
@example(local="a" * 64, domain="b" * 63 + "." + "c" * 63 + "." + "d" * 58, top=".com")
@example(local="a" * 65, domain="example", top=".com")
@example(local="a", domain="XN--bcher-kva", top=".example")
@example(local="a", domain="b" * 64, top=".com")
@example(local="a", domain="localhost", top="")
def test_a_plain_address_is_told_at_once_what_the_library_tells(local: str, domain: str, top: str) -> None:
    text = f"{local}@{domain}{top}"
    assert emails.normalise(text) == emails._normalise(text)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada@xn--bcher-kva.example", "ada@bücher.example"),
        ("ada@BÜCHER.example", "ada@bücher.example"),
        ("ada@Bu\u0308cher.example", "ada@bücher.example"),
        ("Ada.Lovelace+news@example.com", "ada.lovelace+news@example.com"),
        ("re\u0301ne@example.com", "r\u00e9ne@example.com"),
        ("ada@\uff45xample.com", "ada@example.com"),
        ("ada@example\u3002com", "ada@example.com"),
    ],
)
def test_one_mailbox_has_one_spelling(text: str, normalised: str) -> None:
    assert emails.normalise(text) == normalised


@pytest.mark.parametrize(
    "text", ["ada@example.com ", "\u200bada@example.com", "ada\u202e@example.com", "ada@[127.0.0.1]"]
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    assert emails.normalise(text) is None


@pytest.mark.parametrize(
    ("one", "other"), [("\u0131@example.com", "i@example.com"), ("\u0430da@example.com", "ada@example.com")]
)
def test_letters_that_only_look_alike_are_two_mailboxes(one: str, other: str) -> None:
    """Django CVE-2019-19844: a dotless i must not reach the account of the dotted one."""
    assert emails.normalise(one) != emails.normalise(other)


async def test_the_address_that_an_account_shows_logs_in_to_it(auth: Auth) -> None:
    for text in ("Ada@Example.com", "ΑΔΑ@παράδειγμα.example", "\u0130nci@example.com", "ADA@xn--bcher-kva.example"):
        made = await auth.auth.SignUp(SignUpRequest(email=text, password=PASSWORD))
        for spelling in (text, made.user.email):
            again = await auth.auth.LogIn(LogInRequest(email=spelling, password=PASSWORD))
            assert again.user == made.user
