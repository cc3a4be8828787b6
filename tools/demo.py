"""`demo`: a tour of the main job, call by call, on the running stack or on one of its own."""

import secrets
from collections.abc import Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from protos.auth.v1 import account_service_pb2 as account_pb2
from protos.auth.v1 import auth_service_pb2 as auth_pb2
from protos.auth.v1 import resources_pb2 as auth_resources
from protos.chat.v1 import component_service_pb2 as component_pb2
from protos.chat.v1 import conversation_service_pb2 as conversation_pb2
from protos.chat.v1 import interaction_service_pb2 as interaction_pb2
from protos.chat.v1 import message_service_pb2 as message_pb2
from protos.chat.v1 import resources_pb2 as pb
from tools import settings
from tools.catcher import MailFolder
from tools.clients import Clients, Person, clients, run
from tools.demo_answers import AnswersTour
from tools.demo_security import SecurityTour
from tools.folder import DataFolder, Stack
from tools.guide import Guide, expect
from tools.stack import running_stack, stack
from tools.ui import Failure, console

_PASSWORD: Final = "a walk in the long rain"  # noqa: S105 (an account of the demo)
_RACERS: Final = 10
_MICRO: Final = 1_000_000
_FIRST: Final = "export const Garden = () => <p>Ferns</p>;\n"
_SECOND: Final = "export const Garden = () => <p>Ferns and hostas</p>;\n"


def demo() -> None:
    """Tour the main job: accounts, conversations, components, answers of a model, and what is refused."""
    was_running = running_stack() is not None
    with stack(model=True) as running:
        run(_tour(running))
    _farewell(running, was_running=was_running)


async def _tour(running: Stack) -> None:
    folder = DataFolder(settings.read().data_dir)
    async with clients(running) as to:
        tour = _Tour(to)
        await tour.accounts()
        await tour.conversation()
        await tour.pages()
        await tour.retries()
        await tour.component()
        await tour.interaction()
        await tour.answers(running, folder)
        await tour.reading()
        await tour.privacy()
        await tour.refresh()
        await tour.security(MailFolder(folder.mails))
        await tour.log_out()


class _Tour:
    """What Ada does on her laptop and on her phone."""

    def __init__(self, to: Clients) -> None:
        self._to, self._guide = to, Guide()
        self._email = f"ada-{secrets.token_hex(3)}@example.com"

    async def accounts(self) -> None:
        self._guide.chapter("An account, and two devices")
        self._laptop = await self._sign_up(self._email, "Ada", "laptop")
        log_in = auth_pb2.LogInRequest(email=self._email, password=_PASSWORD, device_label="phone")
        answer = await self._guide.call(
            "LogIn",
            self._to.auth.LogIn,
            log_in,
            lambda it: f"session {_id(it.session.id)} on her {it.session.device_label}",
        )
        self._phone = Person(email=self._email, user=answer.user, tokens=answer.tokens)
        wrong = auth_pb2.LogInRequest(email=self._email, password="a walk in the sun")  # noqa: S106 (a wrong one)
        expect(await self._guide.refused("LogIn", self._to.auth.LogIn, wrong), "INVALID_CREDENTIALS")
        await self._verify(self._laptop, expect=True)

    async def answers(self, running: Stack, folder: DataFolder) -> None:
        if running.model:
            await AnswersTour(self._to, self._guide, running, folder).take(self._laptop, self._phone)
        else:
            self._guide.chapter("No model answers here: set CHAT_PROVIDER_URL, as the README says, to see one")

    async def security(self, mails: MailFolder) -> None:
        await SecurityTour(self._to, self._guide, mails, password=_PASSWORD).take(self._laptop)

    async def conversation(self) -> None:
        self._guide.chapter("A conversation")
        create = conversation_pb2.CreateConversationRequest(
            conversation=pb.Conversation(title="A garden in the shade"), request_id=secrets.token_hex(8)
        )
        to = self._to.conversations
        answer = await self._guide.call(
            "CreateConversation",
            to.CreateConversation,
            create,
            lambda it: f"conversation {_id(it.conversation.id)}",
            by=self._laptop,
        )
        self._conversation_id = answer.conversation.id
        self._question = self._message(pb.ROLE_USER, "What grows in the shade until noon?")
        self._first = await self._send(self._question, self._laptop)
        answered = await self._send(self._message(pb.ROLE_ASSISTANT, "Ferns, hostas and lungwort."), self._laptop)
        self._answer_id = answered.id
        await self._send(self._message(pb.ROLE_USER, "And in a pot?"), self._phone)

    async def pages(self) -> None:
        self._guide.chapter("Pages of it, from either end, and of one role")
        page = message_pb2.ListMessagesRequest(conversation_id=self._conversation_id, page_size=2)
        first = await self._list(page)
        page.page_token = first.next_page_token
        await self._list(page)
        await self._list(
            message_pb2.ListMessagesRequest(conversation_id=self._conversation_id, page_size=2, descending=True)
        )
        await self._list(message_pb2.ListMessagesRequest(conversation_id=self._conversation_id, role=pb.ROLE_ASSISTANT))

    async def retries(self) -> None:
        self._guide.chapter("An answer was lost: the same request again changes nothing")
        again = await self._send(self._question, self._laptop)
        if again != self._first:
            raise Failure("A repeat of a request did not get the first answer.")
        other = self._message(pb.ROLE_USER, "Something else", request_id=self._question.request_id)
        refused = await self._guide.refused("SendMessage", self._to.messages.SendMessage, other, by=self._laptop)
        expect(refused, "REQUEST_ID_REUSED")

    async def component(self) -> None:
        self._guide.chapter("A component, a second version, and an update that comes too late")
        to = self._to.components
        made = pb.Component(
            conversation_id=self._conversation_id, name="src/Garden.tsx", type="text/tsx", content=_FIRST
        )
        create = component_pb2.CreateComponentRequest(component=made, request_id=secrets.token_hex(8))
        first = (
            await self._guide.call(
                "CreateComponent", to.CreateComponent, create, lambda it: _version(it.component), by=self._laptop
            )
        ).component
        update = component_pb2.UpdateComponentRequest(
            component=pb.Component(id=first.id, etag=first.etag, content=_SECOND)
        )
        await self._guide.call(
            "UpdateComponent", to.UpdateComponent, update, lambda it: _version(it.component), by=self._laptop
        )
        update.component.content = "export const Garden = () => <p>Moss</p>;\n"
        expect(
            await self._guide.refused("UpdateComponent", to.UpdateComponent, update, by=self._phone), "ETAG_MISMATCH"
        )
        versions = component_pb2.ListComponentVersionsRequest(component_id=first.id)
        await self._guide.call(
            "ListComponentVersions",
            to.ListComponentVersions,
            versions,
            lambda it: ", ".join(f"{each.version}: {each.content_hash[:8]}" for each in it.component_versions),
            by=self._laptop,
        )

    async def interaction(self) -> None:
        self._guide.chapter("The run of a model: what it used and cost")
        usage = pb.Usage(input_tokens=412, output_tokens=98, cost_micros=730, price_version="2026-11-01")
        response = pb.Response(model="small-1", finish_reason="stop", usage=usage)
        response.time_to_first_token.CopyFrom(Duration(nanos=310_000_000))
        response.duration.CopyFrom(Duration(seconds=2))
        request = interaction_pb2.RecordInteractionRequest(
            interaction=pb.Interaction(
                conversation_id=self._conversation_id,
                model="small-1",
                state=pb.INTERACTION_STATE_COMPLETED,
                message_id=self._answer_id,
            ),
            response=response,
            request_id=secrets.token_hex(8),
        )
        to = self._to.interactions
        await self._guide.call(
            "RecordInteraction", to.RecordInteraction, request, lambda it: _run(it.interaction), by=self._laptop
        )

    async def reading(self) -> None:
        self._guide.chapter("How far each device has read")
        to = self._to.conversations
        for person, position in ((self._laptop, 3), (self._phone, 1)):
            await self._guide.call(
                "MarkRead",
                to.MarkRead,
                conversation_pb2.MarkReadRequest(conversation_id=self._conversation_id, position=position),
                lambda it: _reader(it.conversation_session),
                by=person,
            )
        links = conversation_pb2.ListConversationSessionsRequest(conversation_id=self._conversation_id)
        await self._guide.call(
            "ListConversationSessions",
            to.ListConversationSessions,
            links,
            lambda it: "; ".join(_reader(each) for each in it.conversation_sessions),
            by=self._laptop,
        )

    async def privacy(self) -> None:
        self._guide.chapter("Somebody else sees nothing of it")
        stranger = await self._sign_up(f"bob-{secrets.token_hex(3)}@example.com", "Bob", "tablet")
        get = conversation_pb2.GetConversationRequest(conversation_id=self._conversation_id)
        to = self._to.conversations
        expect(
            await self._guide.refused("GetConversation", to.GetConversation, get, by=stranger), "CONVERSATION_NOT_FOUND"
        )

    async def refresh(self) -> None:
        self._guide.chapter(f"{_RACERS} callers race with one refresh token")
        request = auth_pb2.RefreshTokenRequest(refresh_token=self._phone.tokens.refresh_token)

        async def renew() -> auth_resources.Tokens:
            return (await self._to.auth.RefreshToken(request)).tokens

        answers = await self._guide.together(
            f"RefreshToken, {_RACERS} times at once", [renew() for _ in range(_RACERS)], _successors
        )
        self._phone.tokens = answers[0]
        sessions = account_pb2.ListSessionsRequest()
        await self._guide.call(
            "ListSessions",
            self._to.accounts.ListSessions,
            sessions,
            lambda it: ", ".join(f"{each.device_label} {_id(each.id)}" for each in it.sessions),
            by=self._phone,
        )

    async def log_out(self) -> None:
        self._guide.chapter("The phone logs out: from now on its token is refused everywhere")
        await self._verify(self._phone, expect=True)
        await self._guide.call(
            "LogOut", self._to.auth.LogOut, auth_pb2.LogOutRequest(), lambda _: "done", by=self._phone
        )
        await self._verify(self._phone, expect=False)
        page = message_pb2.ListMessagesRequest(conversation_id=self._conversation_id)
        refused = await self._guide.refused("ListMessages", self._to.messages.ListMessages, page, by=self._phone)
        expect(refused, "UNAUTHENTICATED")
        await self._verify(self._laptop, expect=True)

    async def _sign_up(self, email: str, name: str, device: str) -> Person:
        request = auth_pb2.SignUpRequest(
            email=email, password=_PASSWORD, display_name=name, device_label=device, request_id=secrets.token_hex(8)
        )
        answer = await self._guide.call(
            "SignUp",
            self._to.auth.SignUp,
            request,
            lambda it: f"user {_id(it.user.id)}, session {_id(it.session.id)}, an access and a refresh token",
        )
        return Person(email=email, user=answer.user, tokens=answer.tokens)

    async def _verify(self, person: Person, *, expect: bool) -> None:
        request = auth_pb2.VerifyTokenRequest(access_token=person.tokens.access_token)
        answer = await self._guide.call("VerifyToken", self._to.auth.VerifyToken, request, _verified)
        if answer.active is not expect:
            raise Failure("VerifyToken did not tell what it should.")

    async def _send(self, request: message_pb2.SendMessageRequest, by: Person) -> pb.Message:
        answer = await self._guide.call(
            "SendMessage",
            self._to.messages.SendMessage,
            request,
            lambda it: f"message {_id(it.message.id)} at position {it.message.position}",
            by=by,
        )
        return answer.message

    async def _list(self, request: message_pb2.ListMessagesRequest) -> message_pb2.ListMessagesResponse:
        return await self._guide.call("ListMessages", self._to.messages.ListMessages, request, _page, by=self._laptop)

    def _message(self, role: pb.Role.ValueType, text: str, request_id: str = "") -> message_pb2.SendMessageRequest:
        return message_pb2.SendMessageRequest(
            conversation_id=self._conversation_id,
            role=role,
            parts=[pb.Part(text=text)],
            request_id=request_id or secrets.token_hex(8),
        )


def _id(text: str) -> str:
    """The end of an id, which tells it from its neighbours."""
    return f"…{text[-6:]}"


def _verified(answer: auth_pb2.VerifyTokenResponse) -> str:
    if answer.active:
        return f"active: user {_id(answer.user_id)}, session {_id(answer.session_id)}"
    reason = auth_resources.InactiveReason.Name(answer.inactive_reason).removeprefix("INACTIVE_REASON_")
    return f"not active: {reason}"


def _page(answer: message_pb2.ListMessagesResponse) -> str:
    told = ", ".join(
        f"{each.position} {pb.Role.Name(each.role).removeprefix('ROLE_').lower()}" for each in answer.messages
    )
    return f"{told}; {'there is more' if answer.next_page_token else 'the end'}"


def _version(component: pb.Component) -> str:
    return f"version {component.version}, content {component.content_hash[:8]}, etag {component.etag[:8]}"


def _run(made: pb.Interaction) -> str:
    used = made.usage
    tokens = f"{used.input_tokens} tokens read, {used.output_tokens} written"
    return f"run {_id(made.id)}: {tokens}, $ {used.cost_micros / _MICRO:.6f}"


def _reader(link: pb.ConversationSession) -> str:
    return f"session {_id(link.session_id)} has read to {link.read_position}, {link.unread_count} unread"


def _successors(answers: Sequence[auth_resources.Tokens]) -> str:
    different = {tokens.refresh_token for tokens in answers}
    if len(different) != 1:
        raise Failure(f"{len(answers)} racing callers got {len(different)} different refresh tokens.")
    return f"{len(answers)} answers, one successor for all"


def _farewell(running: Stack, *, was_running: bool) -> None:
    console.print("\n[bold green]That was the main job.[/bold green] What to try next:\n")
    lines = [
        ("make call M=LogIn D='{…}'", "one call by its name"),
        ("make db-verify", "the nineteen indexes, and the plan of every query"),
        ("make performance-test", "every promise, measured"),
        ("make bench", "what a call costs against an empty handler"),
        ("make db-studio", "the tables behind it"),
    ]
    if was_running:
        lines.append((f"{running.auth_ops_url}/metrics", "and the same of chat: " + running.chat_ops_url))
    else:
        lines.insert(0, ("make run", "a stack that stays, with calls to copy"))
    for command, what in lines:
        console.print(f"  {command:34}[dim]{what}[/dim]", soft_wrap=True)
