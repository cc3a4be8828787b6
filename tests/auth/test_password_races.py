"""A change of the password against log-ins that are under way: none with the former password outlives it (R22)."""

import asyncio

import pytest

from auth_service.store import users
from protos.auth.v1 import one_time_pb2 as pb
from protos.auth.v1.auth_service_pb2 import LogInResponse
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import failure

NEW = "another walk in the rain"


class Paused:
    """A log-in that has read the hash and then waits; entered, it lets all later ones pass."""

    def __init__(self, auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
        self._auth, self._patch = auth, monkeypatch
        self._has_read, self._go_on = asyncio.Event(), asyncio.Event()

    async def begin(self) -> None:
        find = users.find_for_log_in

        async def slow(*arguments):
            found = await find(*arguments)
            self._has_read.set()
            await self._go_on.wait()
            return found

        self._patch.setattr(users, "find_for_log_in", slow)
        self._call = asyncio.ensure_future(self._auth.log_in())
        await self._has_read.wait()
        self._patch.setattr(users, "find_for_log_in", find)

    async def end(self) -> LogInResponse:
        self._go_on.set()
        return await self._call


async def change(auth: Auth, tokens) -> None:
    request = pb.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW)
    await auth.account.ChangePassword(request, metadata=bearer(tokens))


async def test_a_log_in_that_has_read_the_former_password_begins_no_session_after_the_change(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await auth.sign_up()
    paused = Paused(auth, monkeypatch)
    await paused.begin()
    await change(auth, made.tokens)
    assert (await failure(paused.end())).reason == "INVALID_CREDENTIALS"
    assert (await auth.log_in(password=NEW)).user.id == made.user.id


async def test_of_many_log_ins_that_race_with_a_change_no_session_is_left(auth: Auth) -> None:
    """Whichever way each goes: it is refused, or what it began is ended by the change."""
    made = await auth.sign_up()
    log_ins = [asyncio.ensure_future(auth.log_in()) for _ in range(16)]
    await change(auth, made.tokens)
    answers = await asyncio.gather(*log_ins, return_exceptions=True)
    begun = [answer.tokens for answer in answers if isinstance(answer, LogInResponse)]
    assert not [tokens for tokens in begun if (await auth.verify(tokens.access_token)).active]
    assert (await auth.verify(made.tokens.access_token)).active
