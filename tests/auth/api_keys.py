"""API keys as a user makes and ends them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis

from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.api_keys_pb2 import (
    ApiKey,
    CreateApiKeyRequest,
    CreateApiKeyResponse,
    ListApiKeysRequest,
    RevokeApiKeyRequest,
)
from protos.auth.v1.resources_pb2 import (
    Tokens,
    User,
)
from tests.authtest import Auth, bearer
from tests.servers import Servers, fetch

SCOPES = ["account.read", "chat.read"]


async def create(auth: Auth, tokens: Tokens | str, **fields: Any) -> CreateApiKeyResponse:
    request = CreateApiKeyRequest(**{"name": "robot", "scopes": SCOPES, **fields})
    return await auth.account.CreateApiKey(request, metadata=bearer(tokens))


async def listed(auth: Auth, tokens: Tokens, **fields: Any) -> list[ApiKey]:
    answer = await auth.account.ListApiKeys(ListApiKeysRequest(**fields), metadata=bearer(tokens))
    return list(answer.api_keys)


async def profile(auth: Auth, token: str) -> User:
    return (await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(token))).user


def in_days(days: float) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    return moment


async def behind(auth: Auth, servers: Servers, statement: str, *args: object) -> None:
    """Change rows behind the service's back, and take away what the cache has of them."""
    await fetch(auth.database.url, statement, *args)
    async with Redis.from_url(servers.redis.url) as redis:
        entries = [*await redis.keys("parley:session:*"), *await redis.keys("parley:user:*")]
        if entries:
            await redis.delete(*entries)


async def revoke(auth: Auth, tokens: Tokens, key_id: str) -> ApiKey:
    request = RevokeApiKeyRequest(api_key_id=key_id)
    return (await auth.account.RevokeApiKey(request, metadata=bearer(tokens))).api_key
