"""WatchConversation: everything since a place, each thing once and as it is now, in order, whatever is lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import grpc
import pytest
from grpc import StatusCode

from chat_service import streams
from chat_service.live import Live
from protos.chat.v1 import resources_pb2 as pb
from shared.embedded import LocalRedis, free_port, scratch_folder
from shared.grpc import access
from tests.chat.watching import Watch, kinds, revisions, what
from tests.chattest import ENDED, Chat, Person, chat_config, gather, message, running_chat, texts
from tests.grpc_errors import failure, unpacked
from tests.servers import Servers, fetch

RUN = {"model": "m", "state": pb.INTERACTION_STATE_CANCELLED}


@pytest.fixture
async def twin(chat: Chat, servers: Servers, auth_target: str) -> AsyncIterator[Chat]:
    """Another replica, on the same database and the same Redis."""
    config = chat_config(chat.database, servers.redis.url, auth_target)
    async with running_chat(chat.database, config) as running:
        yield running


@pytest.fixture
def own_redis() -> Iterator[LocalRedis]:
    with scratch_folder() as folder:
        redis = LocalRedis(folder / "redis", free_port(), password="for this test")
        redis.start()
        try:
            yield redis
        finally:
            redis.stop()


def at(chat: Chat, person: Person) -> Person:
    """The same sign-in on another replica."""
    return Person(chat.channel, person.user_id, person.session_id)


async def test_a_new_client_is_told_everything_in_order_and_then_what_happens(ada):
    conversation = await ada.converse(title="Plans")
    for number in range(120):
        await ada.say(conversation, str(number))
    async with Watch(ada, conversation) as watch:
        told = await watch.synced()
        assert kinds(told) == ["message", "conversation_session", *["message"] * 119, "conversation"]
        assert texts([what(each) for each in told if each.HasField("message")]) == [str(n) for n in range(120)]
        assert revisions(told) == sorted(revisions(told))
        assert (told[-1].conversation.title, told[-1].conversation.revision) == ("Plans", 121)
        said = await ada.say(conversation, "live")
        assert what(await watch.next()) == said


async def test_every_kind_of_change_is_told_as_the_thing_is_now(ada):
    conversation = await ada.converse()
    said = await ada.say(conversation)
    async with Watch(ada, conversation, after_revision=2) as watch:
        assert kinds(await watch.synced()) == ["conversation"]
        built = await ada.build(conversation)
        assert what(await watch.next()) == built
        changed = pb.Component(id=built.id, etag=built.etag, content="second")
        changed = (await ada.UpdateComponent(component=changed)).component
        assert what(await watch.next()) == changed
        gone = (await ada.DeleteComponent(component_id=built.id)).component
        assert what(await watch.next()) == gone
        run = pb.Interaction(conversation_id=conversation.id, message_id=said.id, **RUN)
        recorded = (await ada.RecordInteraction(interaction=run)).interaction
        assert what(await watch.next()) == recorded
        read = await ada.MarkRead(conversation_id=conversation.id, position=1)
        assert what(await watch.next()) == read.conversation_session
        change = pb.Conversation(id=conversation.id, title="Other")
        renamed = (await ada.UpdateConversation(conversation=change)).conversation
        assert what(await watch.next()) == renamed
        deleted = (await ada.DeleteConversation(conversation_id=conversation.id)).conversation
        assert what(await watch.next()) == deleted
        undeleted = (await ada.UndeleteConversation(conversation_id=conversation.id)).conversation
        assert what(await watch.next()) == undeleted


async def test_a_client_that_has_seen_a_revision_is_told_only_what_came_after(ada):
    conversation = await ada.converse()
    for number in range(10):
        await ada.say(conversation, str(number))
    seen = (await ada.GetConversation(conversation_id=conversation.id)).conversation.revision
    later = [await ada.say(conversation, "later"), await ada.say(conversation, "last")]
    async with Watch(ada, conversation, after_revision=seen) as watch:
        told = await watch.synced()
    assert [what(each) for each in told[:-1]] == later
    assert kinds(told[-1:]) == ["conversation"]


async def test_a_stream_cut_after_any_event_goes_on_without_a_gap_or_a_repetition(ada, twin):
    conversation = await ada.converse(title="Plans")
    for number in range(5):
        await ada.elsewhere().say(conversation, str(number))
        await ada.build(conversation, f"{number}.tsx")
    async with Watch(ada, conversation) as watch:
        whole = await watch.synced()
        end = watch.cursor
    assert len(whole) == 5 + 5 + 6 + 1
    told, cursor = [], ""
    for _ in whole:
        async with Watch(at(twin, ada), conversation, cursor=cursor) as watch:
            told.append(await watch.next())
            cursor = watch.cursor
    assert told == whole
    async with Watch(ada, conversation, cursor=end) as watch:
        assert await watch.synced() == []


async def test_what_is_changed_again_before_it_was_told_is_told_once_at_its_new_place(ada):
    conversation = await ada.converse()
    built = await ada.build(conversation)
    said = await ada.say(conversation)
    changed = pb.Component(id=built.id, etag=built.etag, content="second")
    changed = (await ada.UpdateComponent(component=changed)).component
    async with Watch(ada, conversation) as watch:
        told = await watch.synced()
    rows = [what(each) for each in told]
    assert [row for row in rows if isinstance(row, pb.Component | pb.Message)] == [said, changed]


async def test_read_marks_and_messages_do_not_tell_the_settings_again(ada):
    conversation = await ada.converse(title="Plans")
    async with Watch(ada, conversation) as watch:
        await watch.synced()
        await ada.say(conversation)
        await ada.MarkRead(conversation_id=conversation.id, position=1)
        told = [await watch.next()]
        while told[-1].conversation_session.read_position != 1:
            told.append(await watch.next())
        cursor = watch.cursor
    assert set(kinds(told)) == {"message", "conversation_session"}
    async with Watch(ada, conversation, cursor=cursor) as watch:
        assert await watch.synced() == []


async def test_any_replica_tells_what_was_written_through_another(ada, twin):
    conversation = await ada.converse()
    async with Watch(at(twin, ada), conversation) as watch:
        await watch.synced()
        for number in range(20):
            said = await ada.say(conversation, str(number))
            told = await watch.next()
            if number == 0:
                assert what(told).revision == said.revision
                told = await watch.next()  # the first message brought the sign-in in
                assert kinds([told]) == ["conversation_session"]
                continue
            assert what(told) == said


async def test_without_redis_the_poll_tells(chat_database, auth_target, own_redis):
    """F05: what another replica writes arrives a poll later."""
    config = chat_config(chat_database, own_redis.url, auth_target)
    async with running_chat(chat_database, config) as here, running_chat(chat_database, config) as there:
        own_redis.kill()
        writer = there.person()
        conversation = await writer.converse()
        async with Watch(at(here, writer), conversation) as watch:
            await watch.synced()
            said = [await writer.say(conversation, str(number)) for number in range(3)]
            told = await watch.take(4)
            assert [what(each) for each in told if each.HasField("message")] == said
            own_redis.start()
            said = await writer.say(conversation, "with Redis")
            assert what(await watch.next()) == said


async def test_lost_hints_cost_a_poll_and_nothing_else(ada, twin, monkeypatch):
    conversation = await ada.converse()
    await ada.say(conversation)
    async with Watch(at(twin, ada), conversation) as watch:
        await watch.synced()
        monkeypatch.setattr(Live, "publish", lambda *_: None)
        said = [await ada.say(conversation, str(number)) for number in range(5)]
        assert [what(each) for each in await watch.take(5)] == said


async def test_writers_through_two_replicas_are_told_completely_and_in_order(ada, chat, twin):
    conversation = await ada.converse()
    people = [at(replica, ada.elsewhere()) for replica in (chat, twin) for _ in range(4)]

    async def write(person: Person) -> None:
        for number in range(15):
            await person.say(conversation, str(number))
            await person.MarkRead(conversation_id=conversation.id, position=number + 1)

    async with Watch(ada, conversation) as mine, Watch(at(twin, ada), conversation, after_revision=1) as theirs:
        await asyncio.gather(*(write(person) for person in people))
        await ada.UpdateConversation(conversation=pb.Conversation(id=conversation.id, title="the end"))
        for watch in (mine, theirs):
            told = []
            while not told or told[-1].conversation.title != "the end":
                told.append(await watch.next())
            rows = [what(each) for each in told if not each.HasField("synced")]
            places = [row.position for row in rows if isinstance(row, pb.Message)]
            assert places == list(range(1, 8 * 15 + 1))
            stamps = [row.revision for row in rows]
            assert stamps == sorted(stamps)
            named = [(type(row).__name__, getattr(row, "session_id", ""), row.revision) for row in rows]
            assert len(named) == len(set(named))


async def test_a_slow_client_holds_up_nobody_and_misses_nothing(ada, chat):
    """Its stream is not read while a thousand messages come; nothing waits for it but its place."""
    conversation = await ada.converse()
    async with Watch(ada, conversation) as slow, Watch(ada, conversation) as quick:
        await quick.synced()
        requests = [message("", "x" * 2000) for _ in range(100)]
        for _ in range(10):
            await ada.BatchSendMessages(conversation_id=conversation.id, requests=requests)
        for watch in (quick, slow):
            places: list[int] = []
            while len(places) < 1000:
                told = await watch.next()
                places += [told.message.position] if told.HasField("message") else []
            assert places == list(range(1, 1001))


async def test_large_messages_are_read_ahead_within_bounds_and_all_arrive(ada):
    conversation = await ada.converse()
    sizes = [90_000, 10, 90_000, 90_000, 90_000, 10, 90_000]
    for size in sizes:
        await ada.say(conversation, "x" * size)
    async with Watch(ada, conversation) as watch:
        told = await watch.synced()
    assert [len(each.message.parts[0].text) for each in told if each.HasField("message")] == sizes


async def test_a_conversation_that_is_purged_ends_its_streams(ada, chat):
    conversation = await ada.converse()
    async with Watch(ada, conversation) as watch:
        await watch.synced()
        await ada.DeleteConversation(conversation_id=conversation.id)
        assert what(await watch.next()).state == pb.CONVERSATION_STATE_DELETED
        past = "UPDATE conversations SET purge_time = now() WHERE id = $1"
        await fetch(chat.database.owner_url, past, conversation.id)
        ended = unpacked(await watch.ends())
    assert (ended.code, ended.reason) == (StatusCode.NOT_FOUND, "CONVERSATION_NOT_FOUND")


@pytest.mark.parametrize("cursor", ["x", "AAAA", "A" * 51, "é", "=" * 5])
async def test_what_is_no_cursor_is_refused(ada, cursor):
    conversation = await ada.converse()
    refused = await failure(ada.WatchConversation(conversation_id=conversation.id, cursor=cursor))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["cursor"])


async def test_a_cursor_of_another_conversation_is_refused(ada):
    one, other = await ada.converse(), await ada.converse()
    async with Watch(ada, one) as watch:
        await watch.synced()
        refused = await failure(ada.WatchConversation(conversation_id=other.id, cursor=watch.cursor))
    assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, ["cursor"])


async def test_a_revision_that_never_was_is_refused(ada):
    conversation = await ada.converse()
    refused = await failure(ada.WatchConversation(conversation_id=conversation.id, after_revision=2))
    assert (refused.code, refused.reason) == (StatusCode.FAILED_PRECONDITION, "CURSOR_UNKNOWN")
    refused = await failure(ada.WatchConversation(conversation_id=conversation.id, after_revision=-1))
    assert list(refused.violations) == ["after_revision"]


async def test_a_user_has_so_many_streams_and_one_that_ends_makes_room(servers, chat_database, auth_target):
    config = chat_config(chat_database, servers.redis.url, auth_target, streams_per_user=2)
    async with running_chat(chat_database, config) as chat:
        ada, bob = chat.person("ada"), chat.person("bob")
        hers, his = await ada.converse(), await bob.converse()
        async with Watch(ada, hers) as first, Watch(ada.elsewhere(), hers) as second:
            await first.synced()
            await second.synced()
            refused = await failure(ada.WatchConversation(conversation_id=hers.id))
            assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
            assert refused.retry_seconds == streams.POLL_SECONDS
            async with Watch(bob, his) as watch:
                await watch.synced()
        async with asyncio.timeout(20):
            while True:
                third = ada.WatchConversation(conversation_id=hers.id)
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert kinds([await third.read()]) == ["conversation"]
                    break


async def test_a_session_that_is_ended_loses_its_streams_soon(ada, monkeypatch):
    """R20, R21: what was opened before a log-out does not outlive it."""
    monkeypatch.setattr(access, "LOOK_SECONDS", 0.1)
    conversation = await ada.converse()
    other = ada.elsewhere()
    async with Watch(ada, conversation) as hers, Watch(other, conversation) as others:
        await hers.synced()
        await others.synced()
        ENDED.add(ada.session_id)
        ended = unpacked(await hers.ends())
        assert (ended.code, ended.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert ended.facts["inactive_reason"] == "REVOKED"
        said = await other.say(conversation)
        assert what(await others.next()) == said


async def test_when_the_service_ends_200_streams_are_sent_elsewhere_and_go_on(
    servers, chat_database, auth_target, chat
):
    """F18: they end with UNAVAILABLE and a hint; with its cursor each goes on elsewhere, nothing missing or twice."""
    config = chat_config(chat_database, servers.redis.url, auth_target, shutdown_grace_seconds=20)
    async with AsyncExitStack() as stack, AsyncExitStack() as clients:
        stopping = await stack.enter_async_context(running_chat(chat_database, config))
        address = f"127.0.0.1:{stopping.server.port}"
        own = [("grpc.use_local_subchannel_pool", 1)]  # a connection for each, as each carries so many streams
        wires = [await clients.enter_async_context(grpc.aio.insecure_channel(address, own)) for _ in range(4)]
        people = [chat.person(f"person {number % 10}") for number in range(200)]
        homes = {person.user_id: await person.converse() for person in people[:10]}
        watches = []
        for number, person in enumerate(people):
            there = Person(wires[number % 4], person.user_id, person.session_id)
            watches.append(Watch(there, homes[person.user_id]))
        assert [kinds(told) for told in await gather(*(watch.synced() for watch in watches))] == [
            ["conversation"]
        ] * 200
        end = asyncio.create_task(stack.aclose())
        endings = [unpacked(ended) for ended in await gather(*(watch.ends() for watch in watches))]
        assert {(ended.code, ended.reason, ended.retry_seconds) for ended in endings} == {
            (StatusCode.UNAVAILABLE, "UNAVAILABLE", 0.1)
        }
        await end
    said = {person.user_id: await person.say(homes[person.user_id]) for person in people[:10]}
    for person, watch in list(zip(people, watches, strict=True))[:20]:
        async with Watch(person, homes[person.user_id], cursor=watch.cursor) as again:
            told = await again.synced()
            assert what(told[0]) == said[person.user_id]
            assert kinds(told) == ["message", "conversation_session"]
