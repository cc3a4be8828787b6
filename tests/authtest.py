"""An auth service in the process of a test, and a person who uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from auth_service import server
from auth_service.config import AuthConfig
from protos.auth.v1 import account_service_pb2_grpc, admin_service_pb2_grpc, auth_service_pb2, auth_service_pb2_grpc
from protos.auth.v1.resources_pb2 import Tokens
from shared import service_keys
from shared.grpc.server import GrpcServer
from tests.servers import TestDatabase, make_master_key

PASSWORD = "correct horse battery staple"
SERVICE_KEY = make_master_key()


@dataclass
class Auth:
    """Stubs of one auth service, with what a test needs to look behind it."""

    server: GrpcServer
    channel: grpc.aio.Channel
    database: TestDatabase
    config: AuthConfig
    auth: auth_service_pb2_grpc.AuthServiceStub = field(init=False)
    account: account_service_pb2_grpc.AccountServiceStub = field(init=False)
    admin: admin_service_pb2_grpc.AdminServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.auth = auth_service_pb2_grpc.AuthServiceStub(self.channel)
        self.account = account_service_pb2_grpc.AccountServiceStub(self.channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(self.channel)

    async def sign_up(self, email: str = "ada@example.com", **fields: str) -> auth_service_pb2.SignUpResponse:
        return await self.auth.SignUp(auth_service_pb2.SignUpRequest(email=email, password=PASSWORD, **fields))

    async def log_in(self, email: str = "ada@example.com", password: str = PASSWORD) -> auth_service_pb2.LogInResponse:
        return await self.auth.LogIn(auth_service_pb2.LogInRequest(email=email, password=password))

    async def refresh(self, token: str) -> auth_service_pb2.RefreshTokenResponse:
        return await self.auth.RefreshToken(auth_service_pb2.RefreshTokenRequest(refresh_token=token))

    async def verify(self, access_token: str) -> auth_service_pb2.VerifyTokenResponse:
        return await self.auth.VerifyToken(auth_service_pb2.VerifyTokenRequest(access_token=access_token))

    async def log_out(self, tokens: Tokens | str) -> None:
        await self.auth.LogOut(auth_service_pb2.LogOutRequest(), metadata=bearer(tokens))


def bearer(tokens: Tokens | str) -> tuple[tuple[str, str], ...]:
    token = tokens if isinstance(tokens, str) else tokens.access_token
    return (("authorization", f"Bearer {token}"),)


def service_bearer(key: str = SERVICE_KEY) -> tuple[tuple[str, str], ...]:
    return (service_keys.bearer(key),)


def auth_config(database: TestDatabase, redis_url: str, **overrides: object) -> AuthConfig:
    values = {
        "AUTH_PORT": 0,
        "AUTH_OPS_PORT": 0,
        "AUTH_DATABASE_URL": database.url,
        "AUTH_MASTER_KEY": make_master_key(),
        "AUTH_SERVICE_KEYS": SERVICE_KEY,
        "REDIS_URL": redis_url,
        "AUTH_SHUTDOWN_GRACE_SECONDS": 0,
        "AUTH_ALLOW_PLAINTEXT": True,
        **overrides,
    }
    return AuthConfig.model_validate(
        {name.removeprefix("AUTH_").lower(): value for name, value in values.items()} | values
    )


@asynccontextmanager
async def running_auth(database: TestDatabase, config: AuthConfig) -> AsyncIterator[Auth]:
    async with server.build(config) as listening, grpc.aio.insecure_channel(f"127.0.0.1:{listening.port}") as channel:
        yield Auth(listening, channel, database, config)
