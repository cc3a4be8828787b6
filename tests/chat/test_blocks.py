"""Named blocks of code in answers become components, and new versions of them."""

import pytest
from grpc import StatusCode

from chat_service import blocks
from tests.chat.generating import COMPLETED, generating_chat, hear, text
from tests.grpc_errors import failure
from tests.providertest import Say, running_provider

APP = "Here it is:\n```tsx src/App.tsx\nexport {}\n```\nDone.\n"


@pytest.fixture
async def provider():
    async with running_provider() as running:
        yield running


@pytest.fixture
async def chat(servers, chat_database, auth_target, provider):
    async with generating_chat(chat_database, servers.redis.url, auth_target, provider) as running:
        yield running


def found(answer):
    return [(block.name, block.type, block.content) for block in blocks.find(answer)]


@pytest.mark.parametrize(
    ("fence", "name", "kind"),
    [
        ("tsx src/App.tsx", "src/App.tsx", "text/tsx"),
        ("tsx name=src/App.tsx", "src/App.tsx", "text/tsx"),
        ('tsx title="The app"', "The app", "text/tsx"),
        ("tsx filename='a b.tsx' {1,3}", "a b.tsx", "text/tsx"),
        ("Python main.py", "main.py", "text/python"),
        ("c++ a/b", "a/b", "text/c++"),
        ("name=notes.txt", "notes.txt", "text/plain"),
    ],
)
def test_a_block_has_its_name_behind_its_language(fence, name, kind):
    assert found(f"```{fence}\none\n\ntwo\n```") == [(name, kind, "one\n\ntwo\n")]


@pytest.mark.parametrize(
    "answer",
    [
        "```tsx\nno name\n```",
        "```tsx linenos\nno name\n```",
        "```tsx src/App.tsx\ncut off",
        "```tsx src/App.tsx\ncut off\n``",
        "```tsx a.ts `x`\n```",
        "    ```tsx a.ts\n    indented code\n    ```",
        f"```tsx name={'x' * 201}\n```",
        "see ```tsx a.ts\n```",
    ],
)
def test_what_has_no_name_or_no_end_is_no_block(answer):
    assert found(answer) == []


def test_fences_nest_by_their_length_and_the_last_of_a_name_counts():
    nested = "````md a.md\n```tsx b.tsx\nx\n```\n````\n~~~js c.js\n```\n~~~\n```js c.js\nlast\n```\n"
    assert found(nested) == [("a.md", "text/md", "```tsx b.tsx\nx\n```\n"), ("c.js", "text/js", "last\n")]


def test_a_block_in_a_list_loses_the_indent_of_its_fence_alone():
    assert found("  ```py a.py\n  if x:\n      y\n z\n  ```") == [("a.py", "text/py", "if x:\n    y\nz\n")]


async def test_components_are_made_of_an_answer_and_get_versions_from_the_next(ada, provider):
    conversation = await ada.converse()
    provider.answer(Say(APP))
    first = await hear(ada.Generate(conversation_id=conversation.id, parts=text("An app")))
    assert first.kinds[-3:] == ["message", "component", "interaction"]
    [made] = [one.component for one in first.responses if one.HasField("component")]
    assert (made.name, made.type, made.version, made.content) == ("src/App.tsx", "text/tsx", 1, "export {}\n")
    assert (await ada.GetComponent(component_id=made.id)).component == made
    provider.answer(Say(APP.replace("{}", "{ a }")))
    second = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Better")))
    [changed] = [one.component for one in second.responses if one.HasField("component")]
    assert (changed.id, changed.version, changed.content) == (made.id, 2, "export { a }\n")
    provider.answer(Say(APP.replace("{}", "{ a }")))
    third = await hear(ada.Generate(conversation_id=conversation.id, parts=text("Again")))
    assert (third.last.state, "component" in third.kinds) == (COMPLETED, False)
    replay = await hear(ada.ResumeInteraction(interaction_id=first.last.id))
    assert [one.component.content for one in replay.responses if one.HasField("component")] == ["export {}\n"]
    assert [one.cursor for one in replay.responses] == [one.cursor for one in first.responses]
    refused = await failure(ada.build(conversation, name="src/App.tsx"))
    assert refused.code is StatusCode.ALREADY_EXISTS
