"""What is made with a master key, and what is left of it when there is another one."""

import os

from hypothesis import given
from hypothesis import strategies as st

from shared.crypto import KEY_ID_BYTES, KeyRing, _key_id, _open

FIRST, SECOND, THIRD = os.urandom(32), os.urandom(32), os.urandom(32)


@given(secret=st.binary(max_size=64), place=st.integers(0, 200), flip=st.integers(1, 255))
def test_what_was_sealed_opens_only_as_a_whole_and_in_its_context(secret: bytes, place: int, flip: int) -> None:
    ring = KeyRing(FIRST)
    keys = ring.sealing("a purpose")
    sealed = keys.seal(secret, b"context")
    assert keys.unseal(sealed, b"context") == secret
    broken = bytearray(sealed)
    broken[place % len(sealed)] ^= flip
    assert keys.unseal(bytes(broken), b"context") is None
    assert ring.sealing("another purpose").unseal(sealed, b"context") is None
    assert keys.unseal(sealed, b"Context") is None


@given(rubbish=st.binary(max_size=64))
def test_rubbish_opens_to_nothing(rubbish: bytes) -> None:
    keys = KeyRing(FIRST, SECOND).sealing("a purpose")
    assert keys.unseal(rubbish, b"") is None
    assert keys.unseal(keys.present_id + rubbish, b"") is None


def test_what_the_former_key_sealed_opens_and_can_be_told_from_what_the_present_one_did() -> None:
    before, during, after = (ring.sealing("p") for ring in (KeyRing(FIRST), KeyRing(SECOND, FIRST), KeyRing(SECOND)))
    old, new = before.seal(b"secret", b"row"), during.seal(b"secret", b"row")
    assert [keys.unseal(old, b"row") for keys in (before, during, after)] == [b"secret", b"secret", None]
    assert [keys.unseal(new, b"row") for keys in (before, during, after)] == [None, b"secret", b"secret"]
    assert old[:KEY_ID_BYTES] == before.present_id != during.present_id == after.present_id == new[:KEY_ID_BYTES]


def test_what_was_sealed_before_there_were_key_ids_opens() -> None:
    keys = KeyRing(FIRST).sealing("p")
    without_id = keys.seal(b"secret", b"row")[KEY_ID_BYTES:]
    assert KeyRing(SECOND, FIRST).sealing("p").unseal(without_id, b"row") == b"secret"
    assert KeyRing(SECOND).sealing("p").unseal(without_id, b"row") is None


def test_a_key_id_opens_nothing() -> None:
    key = os.urandom(32)
    sealed = KeyRing(FIRST).sealing("p").seal(b"secret", b"row")
    assert _key_id(key) not in key
    assert _open(_key_id(key) * 4, sealed, b"row") is None


def test_tags_of_both_keys_count_and_the_present_one_signs() -> None:
    before, during, after = (ring.macs("p") for ring in (KeyRing(FIRST), KeyRing(SECOND, FIRST), KeyRing(SECOND)))
    assert during.mac(b"m") == after.mac(b"m") != before.mac(b"m")
    assert during.tags(b"m") == (after.mac(b"m"), before.mac(b"m"))
    assert [keys.matches(before.mac(b"m"), b"m") for keys in (before, during, after)] == [True, True, False]
    assert not during.matches(KeyRing(THIRD).macs("p").mac(b"m"), b"m")
    assert not during.matches(KeyRing(FIRST).macs("another purpose").mac(b"m"), b"m")


@given(length=st.integers(0, 31))
def test_a_tag_cut_short_counts_only_where_it_is_cut_to_that_length(length: int) -> None:
    keys = KeyRing(FIRST).macs("p")
    assert keys.matches(keys.mac(b"m")[:16], b"m", 16)
    assert not keys.matches(keys.mac(b"m")[:length], b"m")


def test_no_key_is_shown_by_a_ring() -> None:
    assert repr(KeyRing(b"k" * 32, b"f" * 32)) == "KeyRing()"
