"""What a model is shown of a conversation: the newest whole turns that fit."""

import pytest

from protos.chat.v1 import resources_pb2 as pb
from tests.chat.generating import generating_chat, hear, text
from tests.chattest import ASSISTANT
from tests.providertest import running_provider

# Some 100 tokens, of which 300 have room for one more turn beside the last.
LONG = "moss " * 60


@pytest.fixture
async def provider():
    async with running_provider() as running:
        yield running


@pytest.fixture
async def chat(servers, chat_database, auth_target, provider):
    told = {"provider_context_tokens": 450}
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider, **told) as running:
        yield running


def shown(call):
    return [str(one["content"])[:4] for one in call.messages]


async def test_older_turns_are_left_out_as_a_whole(ada, provider):
    conversation = await ada.converse(model_defaults={"system_prompt": "Be brief."})
    for number in range(4):
        await ada.say(conversation, f"ask{number} {LONG}")
        await ada.say(conversation, f"ans{number}", role=ASSISTANT)
    await hear(ada.Generate(conversation_id=conversation.id, parts=text(f"ask4 {LONG}")))
    assert shown(provider.calls[0]) == ["Be b", "ask2", "ans2", "ask3", "ans3", "ask4"]


async def test_the_last_turn_is_shown_however_long_it_is(ada, provider):
    conversation = await ada.converse()
    await ada.say(conversation, "before")
    await hear(ada.Generate(conversation_id=conversation.id, parts=text(LONG * 10)))
    assert shown(provider.calls[0]) == ["moss"]


async def test_a_longer_answer_leaves_less_room(ada, provider):
    conversation = await ada.converse()
    for number in range(3):
        await ada.say(conversation, f"ask{number} {LONG}")
    parameters = {"max_output_tokens": 10}
    await hear(ada.Generate(conversation_id=conversation.id, parameters=parameters))
    await ada.say(conversation, f"ask3 {LONG}")
    parameters = {"max_output_tokens": 200}
    await hear(ada.Generate(conversation_id=conversation.id, parameters=parameters))
    assert shown(provider.calls[0]) == ["ask0", "ask1", "ask2"]
    assert shown(provider.calls[1]) == ["ask2", "Moss", "ask3"]


async def test_images_and_files_and_deleted_messages_are_shown_as_they_are(ada, provider):
    conversation = await ada.converse()
    gone = await ada.say(conversation, "gone")
    await ada.DeleteMessage(message_id=gone.id)
    image = pb.Part(image=pb.Image(uri="https://example.com/a.png", media_type="image/png"))
    file = pb.Part(file=pb.File(uri="https://example.com/a.pdf", name="a.pdf"))
    await hear(ada.Generate(conversation_id=conversation.id, parts=[*text("Look"), image, file]))
    [message] = provider.calls[0].messages
    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "text", "text": "[file a.pdf]"},
    ]
