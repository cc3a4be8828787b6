"""The life of signing keys: published, signing, retiring, removed, and nobody ever refused for it."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from auth_service import cleanup
from auth_service.key_rotation import RETENTION
from auth_service.keys import _POLL_SECONDS, JWKS_MAX_AGE, OVERLAP
from auth_service.models import KeyState, SigningAlgorithm
from auth_service.store import signing_keys
from auth_service.store.signing_keys import Author
from shared import clock
from shared.access_tokens import LEEWAY_SECONDS
from shared.cleanup import CleanUp
from shared.errors import Unavailable
from tests.auth.replicas import NINETY_DAYS, Replica, later, plan, replica, states
from tests.servers import TestDatabase, fetch

SECOND = timedelta(seconds=1)


async def test_a_key_lives_through_its_states_by_itself(auth_database: TestDatabase) -> None:
    """Every step is due at its time and not before, and each is taken once, whoever is asked to take it."""
    async with replica(auth_database) as one:

        async def pass_by(time: timedelta) -> list[str]:
            await later(auth_database, time)
            await one.rotation.move_on()
            await one.rotation.move_on()
            await one.keys.refresh()
            return await states(auth_database)

        first = one.mint()
        assert await pass_by(NINETY_DAYS - OVERLAP - SECOND) == ["SIGNING"]
        assert await pass_by(SECOND) == ["SIGNING", "PUBLISHED"]
        assert await pass_by(OVERLAP - SECOND) == ["SIGNING", "PUBLISHED"]
        former = one.keys.signing.kid
        assert await pass_by(SECOND) == ["RETIRING", "SIGNING"]
        assert one.keys.signing.kid != former
        assert await pass_by(RETENTION - SECOND) == ["RETIRING", "SIGNING"]
        assert await one.accepts(first)
        assert await pass_by(SECOND) == ["REMOVED", "SIGNING"]
        assert not await one.accepts(first)
        assert await one.accepts(one.mint())
        assert await pass_by(NINETY_DAYS - OVERLAP - RETENTION) == ["REMOVED", "SIGNING", "PUBLISHED"]


def test_the_times_keep_what_they_promise() -> None:
    """All know a key before it signs, and a retired one is known until its last token has expired."""
    assert 2 * timedelta(seconds=_POLL_SECONDS) <= OVERLAP
    assert OVERLAP >= 2 * JWKS_MAX_AGE
    assert timedelta(minutes=60, seconds=LEEWAY_SECONDS) + OVERLAP <= RETENTION


async def test_only_the_key_that_signs_or_will_has_a_private_half(auth_database: TestDatabase) -> None:
    async with replica(auth_database) as one:
        for step in (timedelta(), NINETY_DAYS, OVERLAP, RETENTION, NINETY_DAYS, OVERLAP):
            await later(auth_database, step)
            await one.rotation.move_on()
            rows = await fetch(
                auth_database.url, "SELECT private_key_sealed IS NOT NULL AS private, state FROM signing_keys"
            )
            assert all(row["private"] == (row["state"] in ("PUBLISHED", "SIGNING")) for row in rows)
            assert [row["state"] for row in rows].count("SIGNING") == 1


async def test_the_set_has_another_version_when_other_keys_are_accepted(auth_database: TestDatabase) -> None:
    """Replicas agree on it, and to sign with another key of the set changes nothing for those who hold a copy."""
    async with replica(auth_database) as one, replica(auth_database, reading=False) as other:
        versions = [one.keys.version]
        for step in (NINETY_DAYS, OVERLAP, RETENTION):
            await later(auth_database, step)
            await one.rotation.move_on()
            await one.keys.refresh()
            await other.keys.refresh()
            assert other.keys.version == one.keys.version
            versions.append(one.keys.version)
    first, published, signing, removed = versions
    assert published == signing
    assert len({first, published, removed}) == 3


async def refused_while_rotating(one: Replica, other: Replica, rotations: int) -> tuple[int, int]:
    """How many tokens of either were refused by the other, and of how many, while keys change hands."""
    refused = minted = 0
    seen = set()
    while len(seen) <= rotations:
        await one.rotation.rotate(None, emergency=False)
        await one.rotation.move_on()
        await one.keys.refresh()
        for here, there in ((one, other), (other, one)):
            token = here.mint()
            minted += 1
            refused += not await there.accepts(token)
        seen.add(one.keys.signing.kid)
        await asyncio.sleep(0)
    return refused, minted


async def test_while_keys_rotate_no_replica_refuses_what_another_has_minted(auth_database: TestDatabase) -> None:
    short = plan(overlap=timedelta(seconds=1.2), retention=timedelta(minutes=11))
    async with replica(auth_database, short) as one, replica(auth_database, short) as other:
        refused, minted = await refused_while_rotating(one, other, rotations=3)
    assert refused == 0
    assert minted > 20


async def test_without_an_overlap_they_do(auth_database: TestDatabase) -> None:
    """The test above can fail: a key that signs before all know it is refused by who has not read."""
    at_once = plan(overlap=timedelta(0), retention=timedelta(minutes=11))
    async with replica(auth_database, at_once) as one, replica(auth_database, plan()) as other:
        refused, _ = await refused_while_rotating(one, other, rotations=1)
    assert refused > 0


async def test_replicas_that_all_do_what_is_due_do_it_once(auth_database: TestDatabase) -> None:
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(auth_database, reading=False)) for _ in range(5)]
        assert await states(auth_database) == ["SIGNING"]
        for step, expected in (
            (NINETY_DAYS, ["SIGNING", "PUBLISHED"]),
            (OVERLAP, ["RETIRING", "SIGNING"]),
            (RETENTION, ["REMOVED", "SIGNING"]),
        ):
            await later(auth_database, step)
            await asyncio.gather(*(one.rotation.move_on() for one in replicas))
            assert await states(auth_database) == expected
    events = await fetch(auth_database.url, "SELECT type, actor_id FROM audit_events ORDER BY create_time, id")
    assert [tuple(event) for event in events] == [("SIGNING_KEY_PUBLISHED", None), ("SIGNING_KEY_ROTATED", None)]


async def test_whatever_meets_one_key_signs_and_none_of_before_an_emergency_is_left(
    auth_database: TestDatabase,
) -> None:
    at_once = plan(overlap=timedelta(0))
    async with replica(auth_database, at_once, reading=False) as one:
        for _ in range(4):
            before = {row["kid"] for row in await fetch(auth_database.url, "SELECT kid FROM signing_keys")}
            await asyncio.gather(
                *(one.rotation.rotate(None, emergency=False) for _ in range(4)),
                *(one.rotation._replace(Author()) for _ in range(3)),
                *(one.rotation.move_on() for _ in range(3)),
            )
            rows = await fetch(auth_database.url, "SELECT kid, state FROM signing_keys WHERE state <> 'REMOVED'")
            assert {row["kid"] for row in rows} & before == set()
            assert [row["state"] for row in rows].count("SIGNING") == 1
            assert [row["state"] for row in rows].count("PUBLISHED") <= 1


async def test_a_key_of_another_algorithm_takes_over_with_the_same_overlap(auth_database: TestDatabase) -> None:
    """R27: meanwhile each key accepts its own algorithm alone."""
    async with replica(auth_database) as one:
        tokens = [one.mint()]
        for algorithm in (SigningAlgorithm.ES256, SigningAlgorithm.RS256, SigningAlgorithm.EDDSA):
            async with replica(auth_database, plan(algorithm)) as changed:
                await changed.rotation.move_on()
                await changed.keys.refresh()
                assert changed.keys.signing.algorithm != algorithm
                await later(auth_database, OVERLAP)
                await changed.rotation.move_on()
                await changed.keys.refresh()
                assert changed.keys.signing.algorithm == algorithm
                tokens.append(changed.mint())
                await changed.rotation.move_on()
        await one.keys.refresh()
        assert [await one.accepts(token) for token in tokens] == [True] * 4
        assert sorted(key["alg"] for key in one.keys.jwks) == ["ES256", "EdDSA", "EdDSA", "RS256"]


async def test_who_has_not_read_the_keys_for_an_overlap_signs_nothing(
    auth_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold a key that has been removed meanwhile."""
    async with replica(auth_database, reading=False) as one:
        with pytest.raises(Unavailable):
            one.mint()
        await one.keys.refresh()
        assert one.mint()
        now = clock.monotonic()
        monkeypatch.setattr(clock, "monotonic", lambda: now + OVERLAP.total_seconds() + 1)
        with pytest.raises(Unavailable):
            one.mint()
        await one.keys.refresh()
        assert one.mint()


async def test_removed_keys_are_forgotten_after_30_days(auth_database: TestDatabase) -> None:
    task = CleanUp(query=signing_keys.queries.delete_removed, args=(cleanup._REMOVED_KEYS_STAY,))
    async with replica(auth_database, reading=False) as one:
        await one.rotation._replace(Author())
        await later(auth_database, timedelta(days=29))
        assert await task.run(one.database) == 0
        await later(auth_database, timedelta(days=2))
        assert await task.run(one.database) == 1
        assert await states(auth_database) == [KeyState.SIGNING]
