"""Who may call what: the proto says it of every RPC, and nothing else that a caller sends changes it."""

from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos.auth.v1 import account_service_pb2, admin_service_pb2, auth_service_pb2
from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.options.v1 import access_pb2
from shared.calls import Principal
from shared.errors import Unauthenticated
from shared.grpc.access import UndeclaredAccess
from shared.grpc.server import Service, listen
from tests.auth import http2
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import code_of, failure
from tests.servers import fetch

SERVICES: list[ServiceDescriptor] = [
    service
    for module in (auth_service_pb2, account_service_pb2, admin_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]
METHODS = [method for service in SERVICES for method in service.methods]


def access(method: MethodDescriptor) -> int:
    return int(method.GetOptions().Extensions[access_pb2.access])


def call(auth: Auth, method: MethodDescriptor, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
    request = message_factory.GetMessageClass(method.input_type)()
    path = f"/{method.containing_service.full_name}/{method.name}"
    return raw(auth, path)(request.SerializeToString(), metadata=metadata)


def raw(auth: Auth, path: str) -> Any:
    return auth.channel.unary_unary(path, request_serializer=None, response_deserializer=None)


class Nobody:
    async def verify(self, _: str) -> Principal:
        raise Unauthenticated


async def test_a_service_with_an_rpc_that_declares_no_access_refuses_to_start() -> None:
    undeclared = health_pb2.DESCRIPTOR.services_by_name["Health"]
    service = Service(
        descriptor=undeclared,
        add=lambda server: health_pb2_grpc.add_HealthServicer_to_server(health_pb2_grpc.HealthServicer(), server),
    )
    with pytest.raises(UndeclaredAccess, match=r"grpc\.health\.v1\.Health\.\w+ declares no access"):
        await listen("127.0.0.1", 0, [service], Nobody(), domain="auth.parley", reflect=False)


async def test_a_method_that_is_not_public_needs_a_token(auth: Auth) -> None:
    guarded = [method for method in METHODS if access(method) != access_pb2.ACCESS_PUBLIC]
    assert len(guarded) >= 7
    for method in guarded:
        failed = await failure(call(auth, method))
        assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_a_users_token_opens_no_method_of_services_or_administrators(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    guarded = [m for m in METHODS if access(m) in (access_pb2.ACCESS_SERVICE, access_pb2.ACCESS_ADMIN)]
    assert guarded
    for method in guarded:
        assert (await failure(call(auth, method, bearer(tokens)))).reason == "PERMISSION_DENIED"


UNKNOWN = [
    "/auth.v1.AuthService/Nothing",
    "/auth.v1.Nothing/GetProfile",
    "/auth.v1.accountservice/getprofile",
    "/auth.v1.AccountService/GetProfile/",
    "//auth.v1.AccountService/GetProfile",
    "/auth.v1.AccountService/GetProfile?x",
    "/AccountService/GetProfile",
    "/",
]


async def test_an_unknown_method_is_unimplemented_signed_in_or_not(auth: Auth) -> None:
    for metadata in ((), bearer((await auth.sign_up()).tokens)):
        for path in UNKNOWN:
            code = await code_of(raw(auth, path)(b"", metadata=metadata))
            assert (path, code) == (path, grpc.StatusCode.UNIMPLEMENTED)


async def test_a_path_without_its_slash_reaches_no_handler(auth: Auth) -> None:
    """grpc-go CVE-2026-33186: such a path must not pass by the rules."""
    tokens = (await auth.sign_up()).tokens
    code = await code_of(raw(auth, "auth.v1.AccountService/GetProfile")(b"", metadata=bearer(tokens)))
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_the_scheme_may_be_written_in_any_case(auth: Auth) -> None:
    made = await auth.sign_up()
    for scheme in ("Bearer", "bearer", "BEARER"):
        metadata = (("authorization", f"{scheme} {made.tokens.access_token}"),)
        assert (await auth.account.GetProfile(GetProfileRequest(), metadata=metadata)).user == made.user


async def test_another_scheme_or_another_place_is_no_sign_in(auth: Auth) -> None:
    token = (await auth.sign_up()).tokens.access_token
    for metadata in (
        (("authorization", token),),
        (("authorization", f"Basic {token}"),),
        (("authorization", f"Bearer{token}"),),
        (("authorization", "Bearer"),),
        (("authorization", f"Bearer Bearer {token}"),),
        (("authorization-bin", f"Bearer {token}".encode()),),
        (("x-authorization", f"Bearer {token}"),),
        (("cookie", f"access_token={token}"),),
    ):
        failed = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=metadata))
        assert failed.reason == "UNAUTHENTICATED"


async def test_what_a_caller_says_of_itself_changes_nothing(auth: Auth) -> None:
    """R43."""
    eve, ada = await auth.sign_up("eve@example.com"), await auth.sign_up()
    forged = (
        ("x-user-id", eve.user.id),
        ("x-session-id", eve.session.id),
        ("x-roles", "service,admin"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
    )
    answer = await auth.account.GetProfile(GetProfileRequest(), metadata=(*bearer(ada.tokens), *forged))
    assert answer.user == ada.user
    failed = await failure(auth.account.GetProfile(GetProfileRequest(), metadata=forged))
    assert failed.reason == "UNAUTHENTICATED"
    request = admin_service_pb2.BatchGetUsersRequest(ids=[eve.user.id])
    failed = await failure(auth.admin.BatchGetUsers(request, metadata=(*bearer(ada.tokens), *forged)))
    assert failed.reason == "PERMISSION_DENIED"
    log_in = auth_service_pb2.LogInRequest(email="ada@example.com", password=PASSWORD)
    assert (await auth.auth.LogIn(log_in, metadata=forged)).session.address == "127.0.0.1"


async def test_a_message_over_four_mebibytes_is_refused(auth: Auth) -> None:
    """R64."""
    code = await code_of(auth.verify("x" * (4 * 1024 * 1024)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_bytes_that_are_no_message_are_refused_without_an_accident(auth: Auth) -> None:
    for rubbish in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b"\x0b" * 100):
        code = await code_of(raw(auth, "/auth.v1.AuthService/VerifyToken")(rubbish))
        assert code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN)
        assert (await auth.verify("rubbish")).active is False


async def test_what_no_header_may_hold_does_no_harm_in_a_user_agent(auth: Auth) -> None:
    """R44, R45: gRPC lets NUL and line ends pass; they must reach neither Postgres nor a log."""
    await auth.sign_up()
    request = auth_service_pb2.LogInRequest(email="ada@example.com", password=PASSWORD).SerializeToString()
    for sent, kept in (
        (b"a\0b", "a?b"),
        (b"a\r\nb: c", "a??b: c"),
        (b"a\x7f\x1b[0m", "a??[0m"),
        (b"grpc-x/1", "grpc-x/1"),
    ):
        answer = await http2.call(auth.server.port, "/auth.v1.AuthService/LogIn", request, [(b"user-agent", sent)])
        assert b"ada@example.com" in answer
        [row] = await fetch(auth.database.url, "SELECT user_agent FROM sessions ORDER BY id DESC LIMIT 1")
        assert row["user_agent"] == kept


async def test_bytes_that_are_no_text_in_a_header_do_no_harm(auth: Auth) -> None:
    """R44."""
    made = await auth.sign_up()
    path = "/auth.v1.AccountService/GetProfile"
    for value in (b"\xff\xfe", "é".encode(), b"a\0b", b"a\nb"):
        token = made.tokens.access_token.encode()[:100]
        answer = await http2.call(auth.server.port, path, b"", [(b"authorization", b"Bearer " + token + value)])
        assert b"A valid access token is required" in answer
        answer = await http2.call(auth.server.port, path, b"", [(b"x-request-id", value)])
        assert b"A valid access token is required" in answer
