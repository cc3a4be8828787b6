"""SetTyping: told to who watches, in whichever replica, and kept nowhere."""

import grpc
import pytest
from grpc import StatusCode

from chat_service import presence
from shared import ids
from tests.chat.sharing import ada, auth_target, bob, chat, chat_database  # noqa: F401 - one service for the file
from tests.chat.watching import Watch, kinds, what
from tests.chattest import Person, chat_config, gather, running_chat
from tests.grpc_errors import failure, unpacked

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_other_sign_ins_are_told_and_ones_own_is_not(ada, chat, servers, auth_target):
    conversation = await ada.converse()
    other = ada.elsewhere()
    config = chat_config(chat.database, servers.redis.url, auth_target)
    async with running_chat(chat.database, config) as twin:
        there = Person(twin.channel, other.user_id, other.session_id)
        async with Watch(ada, conversation) as hers, Watch(there, conversation) as others:
            await hers.synced()
            await others.synced()
            for active in (True, False):
                await ada.SetTyping(conversation_id=conversation.id, active=active)
                told = what(await others.next())
                assert (told.session_id, told.active) == (ada.session_id, active)
            await there.SetTyping(conversation_id=conversation.id, active=True)
            assert what(await hers.next()).session_id == other.session_id
            said = await ada.say(conversation)
            assert what(await hers.next()) == said


async def test_who_comes_later_is_told_nothing_of_it_and_the_revision_stays(ada):
    conversation = await ada.converse()
    await ada.SetTyping(conversation_id=conversation.id, active=True)
    async with Watch(ada.elsewhere(), conversation) as watch:
        assert kinds(await watch.synced()) == ["conversation"]
    assert (await ada.GetConversation(conversation_id=conversation.id)).conversation == conversation


async def test_so_many_in_a_while_and_no_more(ada):
    conversation = await ada.converse()
    tries = 2 * presence.MOST + 1  # the window may end once meanwhile
    answers = await gather(*(ada.SetTyping(conversation_id=conversation.id, active=True) for _ in range(tries)))
    refused = [unpacked(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert {(one.code, one.reason) for one in refused} == {(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")}
    assert all(0 < one.retry_seconds <= presence.WINDOW_SECONDS for one in refused)
    await ada.elsewhere().SetTyping(conversation_id=conversation.id, active=True)


async def test_where_there_is_no_conversation_nobody_types(ada):
    refused = await failure(ada.SetTyping(conversation_id=str(ids.new_id()), active=True))
    assert refused.reason == "CONVERSATION_NOT_FOUND"
