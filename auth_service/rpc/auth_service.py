"""auth.v1.AuthService."""

from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from grpc.aio import ServicerContext

from auth_service.keys import REFRESH_SECONDS, Keys
from auth_service.rpc import convert, parse
from auth_service.sessions import Sessions
from auth_service.sign_ins import SignIns
from auth_service.verification import TokenVerifier
from protos.auth.v1 import auth_service_pb2 as pb
from protos.auth.v1 import auth_service_pb2_grpc, resources_pb2
from shared import calls

Context = ServicerContext[Any, Any]


class AuthService(auth_service_pb2_grpc.AuthServiceServicer):
    """Signing up, in and out, and checking tokens."""

    def __init__(self, sign_ins: SignIns, sessions: Sessions, verifier: TokenVerifier, keys: Keys) -> None:
        """Serve with these rules."""
        self._sign_ins, self._sessions, self._verifier, self._keys = sign_ins, sessions, verifier, keys

    async def SignUp(self, request: pb.SignUpRequest, context: Context) -> pb.SignUpResponse:
        return convert.sign_up(await self._sign_ins.sign_up(parse.sign_up(request)))

    async def LogIn(self, request: pb.LogInRequest, context: Context) -> pb.LogInResponse:
        return convert.log_in(await self._sign_ins.log_in(parse.log_in(request)))

    async def LogOut(self, request: pb.LogOutRequest, context: Context) -> pb.LogOutResponse:
        await self._sessions.log_out(calls.principal())
        return pb.LogOutResponse()

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Context) -> pb.RefreshTokenResponse:
        tokens = await self._sessions.refresh(parse.refresh_token(request))
        return pb.RefreshTokenResponse(tokens=convert.tokens(tokens))

    async def VerifyToken(self, request: pb.VerifyTokenRequest, context: Context) -> pb.VerifyTokenResponse:
        return convert.verification(await self._verifier.inspect(request.access_token))

    async def BatchVerifyTokens(
        self, request: pb.BatchVerifyTokensRequest, context: Context
    ) -> pb.BatchVerifyTokensResponse:
        results = await self._verifier.inspect_many(parse.access_tokens(request))
        return pb.BatchVerifyTokensResponse(results=map(convert.verification, results))

    async def GetJwks(self, request: pb.GetJwksRequest, context: Context) -> pb.GetJwksResponse:
        max_age = Duration()
        max_age.FromTimedelta(timedelta(seconds=REFRESH_SECONDS))
        keys = [resources_pb2.JsonWebKey(**jwk) for jwk in self._keys.jwks]
        return pb.GetJwksResponse(keys=keys, max_age=max_age)
