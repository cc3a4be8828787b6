"""Stored hashes of other systems: each is read as its maker meant it, and none costs more than it may (R51, R52)."""

import unicodedata

import bcrypt
import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_service import password_hashes
from auth_service.password_hashes import HashRefused
from tests.auth.hash_vectors import BOMBS, VECTORS


def bcrypt_of(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


@pytest.mark.parametrize("kind", VECTORS)
def test_a_published_hash_fits_its_password_and_no_other(kind: str) -> None:
    password, stored = VECTORS[kind]
    assert password_hashes.verify(stored, [password])
    for other in (password.swapcase() + "x", password + " ", password[:-1], ""):
        assert not password_hashes.verify(stored, [other])


@pytest.mark.parametrize("kind", VECTORS)
def test_a_hash_with_one_letter_changed_fits_no_more(kind: str) -> None:
    password, stored = VECTORS[kind]
    place = len(stored.rstrip("=")) - 5  # of the digest, or of the signer key
    changed = stored[:place] + ("b" if stored[place] == "a" else "a") + stored[place + 1 :]
    assert not password_hashes.verify(changed, [password])


def test_base64_is_read_padded_or_not_and_in_each_alphabet() -> None:
    password, stored = VECTORS["Firebase's scrypt"]
    assert password_hashes.verify(stored.replace("=$", "$").rstrip("="), [password])
    assert password_hashes.verify(stored.replace("+", "-").replace("/", "_"), [password])
    password, stored = VECTORS["passlib's PBKDF2-SHA256"]
    assert password_hashes.verify(stored.replace(".", "+") + "=", [password])


def test_bcrypt_looks_at_72_bytes_as_whoever_made_the_hash_did() -> None:
    """R04 holds from the first log-in on, which hashes the whole password anew."""
    stored = bcrypt_of(b"x" * 72)
    assert password_hashes.verify(stored, ["x" * 72])
    assert password_hashes.verify(stored, ["x" * 72 + "and more"])
    assert not password_hashes.verify(stored, ["x" * 71])
    assert password_hashes.verify(bcrypt_of(("é" * 40).encode()[:72]), ["é" * 40])
    assert password_hashes.verify(bcrypt_of(b"a\0b"), ["a\0b"])
    assert not password_hashes.verify(bcrypt_of(b"a\0b"), ["a\0c"])


def test_a_password_is_tried_in_each_form_that_is_given() -> None:
    """R05: others have hashed what was typed, not its normal form."""
    typed = "e\u0301te\u0301 a\u0300 la mer"
    normal = unicodedata.normalize("NFKC", typed)
    for hashed in (typed, normal):
        stored = bcrypt_of(hashed.encode())
        assert password_hashes.verify(stored, [normal, typed])
        assert not password_hashes.verify(stored, [typed if hashed is normal else normal])


@pytest.mark.parametrize("kind", BOMBS)
def test_a_hash_that_costs_too_much_is_refused_and_never_computed(kind: str) -> None:
    """The cost bombs of Ory Kratos: where one is stored all the same, no password fits, and nothing is spent on it."""
    with pytest.raises(HashRefused, match=r"costs more|does not take"):
        password_hashes.parse(BOMBS[kind])
    assert not password_hashes.verify(BOMBS[kind], ["password"])


@pytest.mark.parametrize(
    ("most", "more"),
    [
        ("$argon2id$v=19$m=131072,t=8,p=16$c29tZXNhbHQ$", "$argon2id$v=19$m=131073,t=1,p=1$c29tZXNhbHQ$"),
        ("$argon2id$v=19$m=1024,t=1024,p=1$c29tZXNhbHQ$", "$argon2id$v=19$m=1024,t=1025,p=1$c29tZXNhbHQ$"),
        ("$scrypt$ln=17,r=8,p=2$c2FsdA$", "$scrypt$ln=17,r=8,p=3$c2FsdA$"),
        ("$scrypt$ln=14,r=64,p=2$c2FsdA$", "$scrypt$ln=15,r=64,p=1$c2FsdA$"),
        ("$pbkdf2-sha256$i=2000000$c2FsdA$", "$pbkdf2-sha256$i=2000001$c2FsdA$"),
        ("$pbkdf2-sha512$i=1000000$c2FsdA$", "$pbkdf2-sha512$i=1000001$c2FsdA$"),
    ],
)
def test_the_most_that_a_hash_may_cost_is_accepted_and_a_step_more_is_not(most: str, more: str) -> None:
    password_hashes.parse(most + "a" * 43)
    with pytest.raises(HashRefused, match="costs more"):
        password_hashes.parse(more + "a" * 43)


def test_bcrypt_may_cost_14() -> None:
    tail = bcrypt_of(b"x")[7:]
    password_hashes.parse("$2b$14$" + tail)
    for cost in ("15", "31"):
        with pytest.raises(HashRefused, match="costs more"):
            password_hashes.parse(f"$2b${cost}${tail}")


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + "a" * 43,
        "$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$scrypt$ln=4,r=8,p=1$c2FsdA$" + "a" * 43,
        "pbkdf2_sha256$999$seasalt2$" + "a" * 43,
    ],
)
def test_a_hash_that_costs_next_to_nothing_is_refused_as_a_fast_one_is(stored: str) -> None:
    with pytest.raises(HashRefused, match="guessed in no time"):
        password_hashes.parse(stored)


@pytest.mark.parametrize(
    "stored",
    [
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "$1$kJ4QkJaQ$3EbD/pJddrq5HW3mpZ4KZ1",
        "$md5$pf=e1NBTFR9$c2FsdA==$aGFzaA==",
        "$sha256$pf=e1NBTFR9$c2FsdA==$aGFzaA==",
        "$hmac-sha256$aGFzaA==$a2V5",
        "{SSHA512}xPUl/px+1cG55rUH4rzcwxdOIPSB2TingLpiJJumN2xyDWN4Ix1WQG3ihnvHaWUE8MYNkvMi5rf0C9NYixHsE6Yh59M=",
        "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8",
    ],
)
def test_a_fast_hash_is_refused_and_the_reason_says_what_to_do(stored: str) -> None:
    with pytest.raises(HashRefused, match=r"a fast hash such as MD5 or SHA.*have its password reset"):
        password_hashes.parse(stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "password",
        "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
        "$argon2id$v=18$m=65536,t=2,p=1$c29tZXNhbHQ$" + "a" * 43,
        "$argon2id$v=19$m=65536,t=2,p=1,keyid=a$c29tZXNhbHQ$" + "a" * 43,
        "$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$" + "a" * 43,
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$" + "a" * 43 + "\n",
        "$scrypt$ln=0,r=8,p=1$c2FsdA$" + "a" * 43,
        "$scrypt$ln=16383,r=8,p=1$c2FsdA$" + "a" * 43,
        "$scrypt$ln=14,r=8,p=\u0661$c2FsdA$" + "a" * 43,
        "$pbkdf2-sha256$i=100000,l=64$c2FsdA$" + "a" * 43,
        "$pbkdf2-md5$i=100000$c2FsdA$" + "a" * 43,
        "$pbkdf2-sha256$i=100000$c2FsdA$YQ",
        "$pbkdf2-sha256$i=100000$c2FsdA$" + "a" * 41,
        "$firescrypt$ln=14,r=8,p=1$c2FsdA$" + "a" * 43 + "$Bw==$" + "a" * 86,
        "pbkdf2_sha256$100000$" + "s" * 1_000 + "$" + "a" * 43,
    ],
)
def test_what_is_not_quite_a_hash_is_refused_with_a_reason_and_fits_nothing(stored: str) -> None:
    """R50. A digest of one byte would fit a password in 256."""
    with pytest.raises(HashRefused) as refused:
        password_hashes.parse(stored)
    assert str(refused.value).split()[0] in ("is", "must", "has")
    assert not password_hashes.verify(stored, ["", "password"])


pieces = st.sampled_from(["$", ",", "=", ":", *"".join(stored for _, stored in VECTORS.values()).split("$")])
hostile = st.one_of(
    st.text(),
    st.lists(pieces | st.text(max_size=3) | st.integers(0, 2**70).map(str), max_size=12).map("".join),
    st.lists(pieces | st.integers(0, 2**40).map(str), max_size=8).map("$".join),
)


@settings(deadline=None, max_examples=500)
@given(stored=hostile, password=st.text(max_size=130))
def test_no_stored_text_whatever_makes_verification_fail(stored: str, password: str) -> None:
    """R50, R60: it answers, and says no."""
    assert password_hashes.verify(stored, [password]) is False


@settings(deadline=None, max_examples=30)
@given(password=st.text(max_size=80))
def test_what_argon2_made_of_any_password_fits_it(password: str) -> None:
    stored = PasswordHasher(time_cost=1, memory_cost=1_024, parallelism=1).hash(password)
    assert password_hashes.verify(stored, [password])
    assert not password_hashes.verify(stored, [password + "x"])


def test_neither_the_hash_nor_its_digest_shows_in_a_repr() -> None:
    """R47."""
    for _, stored in VECTORS.values():
        parsed = password_hashes.parse(stored)
        assert repr(parsed) == "StoredHash()"
