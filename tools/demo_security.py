"""The second half of the tour: a mailed code, an authenticator app, a passkey, an API key, and a log-out from afar."""

import time
from typing import Final

import pyotp

from protos.auth.v1 import account_service_pb2 as account_pb2
from protos.auth.v1 import api_keys_pb2, factors_pb2, one_time_pb2, passkeys_pb2
from protos.auth.v1 import auth_service_pb2 as auth_pb2
from protos.auth.v1.resources_pb2 import Tokens
from protos.chat.v1 import conversation_service_pb2 as conversation_pb2
from shared.processes import wait_until
from tools.authenticator import Authenticator
from tools.catcher import CaughtMail, MailFolder
from tools.clients import Clients, Person
from tools.guide import Guide, expect
from tools.ui import Failure

_ORIGIN: Final = "http://localhost:3000"
_MAIL_SECONDS: Final = 10.0
_CODE_DIGITS: Final = 8


class SecurityTour:
    """What Ada does to keep her account hers."""

    def __init__(self, to: Clients, guide: Guide, mails: MailFolder, *, password: str) -> None:
        """`mails` are those that the local mail server catches."""
        self._to, self._guide, self._mails, self._password = to, guide, mails, password

    async def take(self, laptop: Person) -> None:
        """Go through all of it, signed in on the laptop."""
        await self._mailed_code(laptop)
        await self._authenticator_app(laptop)
        await self._api_key(laptop)
        await self._from_afar(laptop, await self._passkey(laptop))

    async def _mailed_code(self, laptop: Person) -> None:
        self._guide.chapter("A code in the mail")
        asked = await self._guide.call(
            "RequestEmailVerification",
            self._to.auth.RequestEmailVerification,
            one_time_pb2.RequestEmailVerificationRequest(),
            lambda _: "a mail is on its way",
            by=laptop,
        )
        proof = one_time_pb2.VerifyEmailRequest(request_token=asked.request_token, code=self._mailed(laptop))
        await self._guide.call("VerifyEmail", self._to.auth.VerifyEmail, proof, lambda _: "the address is hers")
        again = await self._guide.refused("VerifyEmail", self._to.auth.VerifyEmail, proof)
        expect(again, "ONE_TIME_CODE_INVALID")

    async def _authenticator_app(self, laptop: Person) -> None:
        self._guide.chapter("An authenticator app: a password alone is no longer enough")
        to = self._to.accounts
        enrolled = await self._guide.call(
            "EnrollTotp", to.EnrollTotp, factors_pb2.EnrollTotpRequest(), lambda _: "a secret for the app", by=laptop
        )
        confirm = factors_pb2.ConfirmTotpRequest(totp_code=pyotp.TOTP(enrolled.secret).now())
        confirmed = await self._guide.call(
            "ConfirmTotp",
            to.ConfirmTotp,
            confirm,
            lambda it: f"in use, with {len(it.recovery_codes)} recovery codes",
            by=laptop,
        )
        log_in = auth_pb2.LogInRequest(email=laptop.email, password=self._password, device_label="tablet")
        answer = await self._guide.call(
            "LogIn", self._to.auth.LogIn, log_in, lambda it: f"a challenge and no tokens: {_factors(it.challenge)}"
        )
        token = answer.challenge.challenge_token
        wrong = factors_pb2.CompleteLogInRequest(challenge_token=token, totp_code=confirm.totp_code)
        expect(await self._guide.refused("CompleteLogIn", self._to.auth.CompleteLogIn, wrong), "SECOND_FACTOR_INVALID")
        right = factors_pb2.CompleteLogInRequest(challenge_token=token, recovery_code=confirmed.recovery_codes[0])
        await self._guide.call(
            "CompleteLogIn",
            self._to.auth.CompleteLogIn,
            right,
            lambda it: f"signed in by {', '.join(it.session.auth_methods)}, level {it.session.assurance_level}",
        )

    async def _passkey(self, laptop: Person) -> Tokens:
        self._guide.chapter("A passkey: no password at all")
        device, to = Authenticator(_ORIGIN), self._to.accounts
        begun = await self._guide.call(
            "BeginPasskeyRegistration",
            to.BeginPasskeyRegistration,
            passkeys_pb2.BeginPasskeyRegistrationRequest(),
            lambda _: "what the browser asks the device for",
            by=laptop,
        )
        made = passkeys_pb2.FinishPasskeyRegistrationRequest(
            credential_json=device.create(begun.options_json), name="security key"
        )
        await self._guide.call(
            "FinishPasskeyRegistration",
            to.FinishPasskeyRegistration,
            made,
            lambda it: f"passkey {it.passkey.name!r}",
            by=laptop,
        )
        asked = await self._guide.call(
            "BeginPasskeyLogIn",
            self._to.auth.BeginPasskeyLogIn,
            passkeys_pb2.BeginPasskeyLogInRequest(),
            lambda _: "a challenge for any passkey",
        )
        finish = passkeys_pb2.FinishPasskeyLogInRequest(
            passkey_credential_json=device.get(asked.options_json), device_label="library computer"
        )
        answer = await self._guide.call(
            "FinishPasskeyLogIn",
            self._to.auth.FinishPasskeyLogIn,
            finish,
            lambda it: f"signed in by {', '.join(it.session.auth_methods)}, level {it.session.assurance_level}",
        )
        return Tokens.FromString(answer.tokens.SerializeToString())

    async def _api_key(self, laptop: Person) -> None:
        self._guide.chapter("An API key that may read conversations, and nothing else")
        create = api_keys_pb2.CreateApiKeyRequest(name="nightly report", scopes=["chat.read"])
        made = await self._guide.call(
            "CreateApiKey",
            self._to.accounts.CreateApiKey,
            create,
            lambda it: f"a key of the scopes {', '.join(it.api_key.scopes)}",
            by=laptop,
        )
        program = Person(email=laptop.email, user=laptop.user, tokens=Tokens(access_token=made.key_text))
        listing = conversation_pb2.ListConversationsRequest(page_size=5)
        await self._guide.call(
            "ListConversations",
            self._to.conversations.ListConversations,
            listing,
            lambda it: f"{len(it.conversations)} of her conversations",
            by=program,
        )
        change = conversation_pb2.CreateConversationRequest()
        refused = await self._guide.refused(
            "CreateConversation", self._to.conversations.CreateConversation, change, by=program
        )
        expect(refused, "PERMISSION_DENIED")
        revoke = api_keys_pb2.RevokeApiKeyRequest(api_key_id=made.api_key.id)
        await self._guide.call(
            "RevokeApiKey", self._to.accounts.RevokeApiKey, revoke, lambda _: "the key has ended", by=laptop
        )
        ended = await self._guide.refused(
            "ListConversations", self._to.conversations.ListConversations, listing, by=program
        )
        expect(ended, "UNAUTHENTICATED")

    async def _from_afar(self, laptop: Person, tokens: Tokens) -> None:
        self._guide.chapter("Left signed in at the library: she ends that from her laptop")
        library = Person(email=laptop.email, user=laptop.user, tokens=tokens)
        listed = await self._guide.call(
            "ListSessions",
            self._to.accounts.ListSessions,
            account_pb2.ListSessionsRequest(),
            lambda it: ", ".join(session.device_label or "?" for session in it.sessions),
            by=laptop,
        )
        (there,) = [session.id for session in listed.sessions if session.device_label == "library computer"]
        await self._guide.call(
            "RevokeSession",
            self._to.accounts.RevokeSession,
            account_pb2.RevokeSessionRequest(session_id=there),
            lambda it: f"{it.session.device_label} is out",
            by=laptop,
        )
        listing = conversation_pb2.ListConversationsRequest(page_size=5)
        refused = await self._guide.refused(
            "ListConversations", self._to.conversations.ListConversations, listing, by=library
        )
        expect(refused, "UNAUTHENTICATED")

    def _mailed(self, to: Person) -> str:
        """The code of the next mail that has one."""
        found: list[CaughtMail] = []

        def arrived() -> bool:
            found.extend(mail for mail in self._mails.new() if mail.to == to.email and _code(mail))
            return bool(found)

        begin = time.perf_counter()
        if not wait_until(arrived, _MAIL_SECONDS):
            raise Failure("The mail did not arrive: is AUTH_SMTP_URL the local catcher's?")
        self._guide.note(f"the mail: {found[0].subject}", begin)
        return _code(found[0])


def _code(mail: CaughtMail) -> str:
    """The digits in a mail; empty where it has none."""
    return next((word for word in mail.text.split() if word.isdigit() and len(word) == _CODE_DIGITS), "")


def _factors(challenge: factors_pb2.LogInChallenge) -> str:
    names = [factors_pb2.SecondFactor.Name(kind).removeprefix("SECOND_FACTOR_") for kind in challenge.second_factors]
    return ", ".join(names)
