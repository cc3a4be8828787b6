"""Passkeys: requests into commands, models into messages, and the pages of ListPasskeys."""

from collections.abc import Sequence
from typing import TypedDict
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from auth_service import ceremonies
from auth_service.models import AddedPasskey, Passkey, PasskeyOptions, SignedIn
from auth_service.passkeys import Passkeys
from auth_service.rpc import convert, one_time, parse
from protos.auth.v1 import passkeys_pb2 as pb
from shared import paging
from shared.calls import Principal
from shared.grpc.values import timestamp
from shared.ids import text_of
from shared.paging import PageTokens
from shared.validation import Violations


class Options(TypedDict):
    """What the three answers that begin a ceremony have."""

    options_json: str
    expire_time: Timestamp


class PasskeyPages:
    """Reads one row more than a page holds, to know whether there is another."""

    def __init__(self, passkeys: Passkeys, tokens: PageTokens) -> None:
        """Read with these rules, and sign page tokens."""
        self._passkeys, self._tokens = passkeys, tokens

    async def read(self, principal: Principal, request: pb.ListPasskeysRequest) -> tuple[Sequence[Passkey], str]:
        """A page of passkeys, and the token of the next one; empty at the end."""
        size = paging.page_size(request.page_size)
        scope = ("ListPasskeys", str(principal.user_id))
        cursor = self._tokens.read(scope, request.page_token)
        found = await self._passkeys.list_page(principal, UUID(str(cursor[0])) if cursor else None, size + 1)
        page = found[:size]
        return page, (self._tokens.write(scope, (str(page[-1].id),)) if len(found) > size else "")


def options(model: PasskeyOptions) -> Options:
    """The question of a ceremony."""
    return Options(options_json=model.json, expire_time=timestamp(model.expire_time))


def registration(request: pb.FinishPasskeyRegistrationRequest) -> tuple[str, str]:
    """What an authenticator has made, and what its owner calls it."""
    violations = Violations()
    credential = _credential(violations, "credential_json", request.credential_json)
    name = violations.line("name", request.name, longest=parse.MAX_LABEL)
    violations.done()
    return credential, name


def log_in_email(request: pb.BeginPasskeyLogInRequest) -> str | None:
    """Whose passkey it must be, where that is known."""
    return one_time.email(request.email) if request.email else None


def log_in(request: pb.FinishPasskeyLogInRequest) -> tuple[str, str]:
    """A passkey's answer, and what to call the device."""
    violations = Violations()
    credential = _credential(violations, "passkey_credential_json", request.passkey_credential_json)
    label = violations.text("device_label", request.device_label, longest=parse.MAX_LABEL)
    violations.done()
    return credential, label


def passkey_id(request: pb.DeletePasskeyRequest) -> UUID:
    """The passkey to remove."""
    violations = Violations()
    parsed = violations.id("passkey_id", request.passkey_id)
    violations.done()
    return parsed


def passkey(model: Passkey) -> pb.Passkey:
    """A passkey as its owner sees it."""
    return pb.Passkey(
        id=text_of(model.id),
        name=model.name,
        synced=model.synced,
        create_time=timestamp(model.create_time),
        last_used_time=timestamp(model.use_time) if model.use_time else None,
    )


def registered(model: AddedPasskey) -> pb.FinishPasskeyRegistrationResponse:
    """The answer to a registration."""
    return pb.FinishPasskeyRegistrationResponse(passkey=passkey(model.passkey), recovery_codes=model.recovery_codes)


def signed_in(model: SignedIn) -> pb.FinishPasskeyLogInResponse:
    """The answer to a log-in."""
    return pb.FinishPasskeyLogInResponse(
        user=convert.user(model.user),
        session=convert.session(model.session, model.session.id),
        tokens=convert.tokens(model.tokens),
    )


def _credential(violations: Violations, field: str, text: str) -> str:
    return violations.text(field, text, shortest=1, longest=ceremonies.MAX_CREDENTIAL)
