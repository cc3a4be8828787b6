"""auth.v1.AuthService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from google.protobuf.duration_pb2 import Duration
from grpc.aio import ServicerContext

from auth_service.keys import JWKS_MAX_AGE
from auth_service.rpc import callers, convert, factors, one_time, parse, passkeys, service_accounts
from auth_service.rpc.rules import AuthRules
from protos.auth.v1 import auth_service_pb2 as pb
from protos.auth.v1 import (
    auth_service_pb2_grpc,
    factors_pb2,
    passkeys_pb2,
    resources_pb2,
    revocations_pb2,
    service_accounts_pb2,
)
from protos.auth.v1 import one_time_pb2 as one_time_pb
from shared import calls

Context = ServicerContext[Any, Any]


class AuthService(auth_service_pb2_grpc.AuthServiceServicer):
    """Signing up, in and out, and checking tokens."""

    def __init__(self, rules: AuthRules) -> None:
        """Serve with these rules."""
        self._rules = rules

    async def SignUp(self, request: pb.SignUpRequest, context: Context) -> pb.SignUpResponse:
        command = parse.sign_up(request, self._rules.password_min_length)
        return convert.sign_up(await self._rules.sign_ins.sign_up(command))

    async def LogIn(self, request: pb.LogInRequest, context: Context) -> pb.LogInResponse:
        return convert.log_in(await self._rules.sign_ins.log_in(parse.log_in(request)))

    async def CompleteLogIn(
        self, request: factors_pb2.CompleteLogInRequest, context: Context
    ) -> factors_pb2.CompleteLogInResponse:
        return factors.completed(await self._rules.challenges.complete(*factors.log_in_completion(request)))

    async def BeginPasskeyLogIn(
        self, request: passkeys_pb2.BeginPasskeyLogInRequest, context: Context
    ) -> passkeys_pb2.BeginPasskeyLogInResponse:
        options = await self._rules.passkey_log_ins.begin(passkeys.log_in_email(request))
        return passkeys_pb2.BeginPasskeyLogInResponse(**passkeys.options(options))

    async def FinishPasskeyLogIn(
        self, request: passkeys_pb2.FinishPasskeyLogInRequest, context: Context
    ) -> passkeys_pb2.FinishPasskeyLogInResponse:
        return passkeys.signed_in(await self._rules.passkey_log_ins.finish(*passkeys.log_in(request)))

    async def LogOut(self, request: pb.LogOutRequest, context: Context) -> pb.LogOutResponse:
        await self._rules.sessions.log_out(calls.principal())
        return pb.LogOutResponse()

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: Context) -> pb.RefreshTokenResponse:
        tokens = await self._rules.sessions.refresh(parse.refresh_token(request))
        return pb.RefreshTokenResponse(tokens=convert.tokens(tokens))

    async def VerifyToken(self, request: pb.VerifyTokenRequest, context: Context) -> pb.VerifyTokenResponse:
        return convert.verification(await self._rules.verifier.inspect(request.access_token, request.audience))

    async def BatchVerifyTokens(
        self, request: pb.BatchVerifyTokensRequest, context: Context
    ) -> pb.BatchVerifyTokensResponse:
        results = await self._rules.verifier.inspect_many(parse.access_tokens(request), request.audience)
        return pb.BatchVerifyTokensResponse(results=map(convert.verification, results))

    async def GetJwks(self, request: pb.GetJwksRequest, context: Context) -> pb.GetJwksResponse:
        max_age = Duration()
        max_age.FromTimedelta(JWKS_MAX_AGE)
        keys = [resources_pb2.JsonWebKey(**jwk) for jwk in self._rules.keys.jwks]
        return pb.GetJwksResponse(
            keys=keys, max_age=max_age, version=self._rules.keys.version, issuer=self._rules.issuer
        )

    async def WatchRevocations(
        self, request: revocations_pb2.WatchRevocationsRequest, context: Context
    ) -> AsyncIterator[revocations_pb2.WatchRevocationsResponse]:
        async with aclosing(self._rules.revocations.watch()) as news:
            async for each in news:
                yield convert.news(each)

    async def RequestEmailVerification(
        self, request: one_time_pb.RequestEmailVerificationRequest, context: Context
    ) -> one_time_pb.RequestEmailVerificationResponse:
        token = await self._rules.changes.request_verification(callers.caller())
        return one_time_pb.RequestEmailVerificationResponse(request_token=token)

    async def VerifyEmail(
        self, request: one_time_pb.VerifyEmailRequest, context: Context
    ) -> one_time_pb.VerifyEmailResponse:
        await self._rules.changes.verify_email(one_time.proof(request))
        return one_time_pb.VerifyEmailResponse()

    async def RequestPasswordReset(
        self, request: one_time_pb.RequestPasswordResetRequest, context: Context
    ) -> one_time_pb.RequestPasswordResetResponse:
        token = await self._rules.password_changes.request_reset(one_time.email(request.email))
        return one_time_pb.RequestPasswordResetResponse(request_token=token)

    async def ResetPassword(
        self, request: one_time_pb.ResetPasswordRequest, context: Context
    ) -> one_time_pb.ResetPasswordResponse:
        await self._rules.password_changes.reset(one_time.reset(request, self._rules.password_min_length))
        return one_time_pb.ResetPasswordResponse()

    async def ConfirmEmailChange(
        self, request: one_time_pb.ConfirmEmailChangeRequest, context: Context
    ) -> one_time_pb.ConfirmEmailChangeResponse:
        await self._rules.changes.change_email(one_time.proof(request))
        return one_time_pb.ConfirmEmailChangeResponse()

    async def RestoreAccount(
        self, request: one_time_pb.RestoreAccountRequest, context: Context
    ) -> one_time_pb.RestoreAccountResponse:
        await self._rules.changes.restore(one_time.restoration(request))
        return one_time_pb.RestoreAccountResponse()

    async def IssueServiceToken(
        self, request: service_accounts_pb2.IssueServiceTokenRequest, context: Context
    ) -> service_accounts_pb2.IssueServiceTokenResponse:
        return service_accounts.issued(await self._rules.service_tokens.issue(service_accounts.issue(request)))

    async def ExchangeToken(
        self, request: service_accounts_pb2.ExchangeTokenRequest, context: Context
    ) -> service_accounts_pb2.ExchangeTokenResponse:
        command = service_accounts.exchange(request)
        return service_accounts.exchanged(await self._rules.service_tokens.exchange(calls.principal(), command))

    async def RequestLogInLink(
        self, request: one_time_pb.RequestLogInLinkRequest, context: Context
    ) -> one_time_pb.RequestLogInLinkResponse:
        token = await self._rules.link_log_ins.request(one_time.email(request.email))
        return one_time_pb.RequestLogInLinkResponse(request_token=token)

    async def LogInWithLink(
        self, request: one_time_pb.LogInWithLinkRequest, context: Context
    ) -> one_time_pb.LogInWithLinkResponse:
        return one_time.signed_in(await self._rules.link_log_ins.log_in(*one_time.log_in(request)))
