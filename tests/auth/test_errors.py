"""What a failed call tells its caller, and what it does not."""

from collections.abc import Iterator

import grpc
import pytest
import structlog
from structlog.typing import EventDict

from protos.auth.v1 import account_service_pb2, auth_service_pb2
from tests.authtest import Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch

SECRET_NAME = "Ada of the secret garden"


@pytest.fixture
def events() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


async def test_a_failed_call_returns_the_request_id_that_the_caller_gave(auth: Auth) -> None:
    call = auth.auth.LogOut(auth_service_pb2.LogOutRequest(), metadata=(("x-request-id", "order-66"),))
    assert (await failure(call)).request_id == "order-66"


async def test_a_failed_call_gets_an_id_of_ours_where_the_callers_is_not_a_sane_one(auth: Auth) -> None:
    for asked in ("", "two words", "x" * 129):
        call = auth.auth.LogOut(auth_service_pb2.LogOutRequest(), metadata=(("x-request-id", asked),))
        request_id = (await failure(call)).request_id
        assert request_id
        assert request_id != asked


async def test_an_unexpected_error_shows_its_request_id_alone(auth: Auth, events: list[EventDict]) -> None:
    """R49: neither SQL, nor a name of the schema, nor a path, nor a value of the row."""
    await fetch(auth.database.owner_url, "DROP TABLE users CASCADE")
    request = auth_service_pb2.SignUpRequest(
        email="ada@example.com", password="a good long password", display_name=SECRET_NAME
    )
    failed = await failure(auth.auth.SignUp(request, metadata=(("x-request-id", "order-66"),)))
    assert failed.code is grpc.StatusCode.INTERNAL
    assert failed.reason == "INTERNAL"
    assert failed.domain == "auth.parley"
    assert failed.message == "Something went wrong on our side."
    assert failed.facts == {"request_id": "order-66"}
    assert set(failed.trailers) == {"x-request-id", "grpc-status-details-bin"}


async def test_the_log_of_an_unexpected_error_has_the_trace_but_no_value_of_the_row(
    auth: Auth, events: list[EventDict]
) -> None:
    """R47, R49: a driver's error quotes the row that failed; the log must not."""
    signed_in = await auth.sign_up()
    await fetch(auth.database.owner_url, f"ALTER TABLE users ADD CHECK (display_name <> '{SECRET_NAME}')")
    request = account_service_pb2.UpdateProfileRequest(user={"display_name": SECRET_NAME})
    failed = await failure(auth.account.UpdateProfile(request, metadata=bearer(signed_in.tokens)))
    assert failed.reason == "INTERNAL"
    [event] = [event for event in events if event["event"] == "unexpected failure"]
    assert event["method"] == "/auth.v1.AccountService/UpdateProfile"
    assert event["error"] == "CheckViolationError"
    shown = structlog.processors.format_exc_info(None, "", event)["exception"]
    assert "SQLSTATE 23514" in shown
    assert SECRET_NAME not in shown
    assert "ada@example.com" not in shown


async def test_two_failures_of_one_kind_differ_in_nothing_but_the_id(auth: Auth) -> None:
    await auth.sign_up()
    first, second = await failure(auth.sign_up()), await failure(auth.sign_up())
    assert first.seen == second.seen
    assert first.request_id != second.request_id
