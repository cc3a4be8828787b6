"""auth.v1.AccountService."""

from typing import Any

from grpc.aio import ServicerContext

from auth_service.models import Caller
from auth_service.rpc import convert, parse
from auth_service.rpc.rules import AccountRules
from protos.auth.v1 import account_service_pb2 as pb
from protos.auth.v1 import account_service_pb2_grpc
from shared import calls

Context = ServicerContext[Any, Any]


class AccountService(account_service_pb2_grpc.AccountServiceServicer):
    """What users see and change of their own."""

    def __init__(self, rules: AccountRules) -> None:
        """Serve with these rules."""
        self._rules = rules

    async def GetProfile(self, request: pb.GetProfileRequest, context: Context) -> pb.GetProfileResponse:
        return pb.GetProfileResponse(user=convert.user(_caller().user))

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, context: Context) -> pb.UpdateProfileResponse:
        display_name, revision = parse.update_profile(request)
        user = await self._rules.accounts.update_profile(_caller().user, display_name, revision)
        return pb.UpdateProfileResponse(user=convert.user(user))

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        principal = calls.principal()
        page, token = await self._rules.session_pages.read(principal, request)
        last_used = await self._rules.sessions.last_used(principal, page)
        sessions = convert.sessions(page, principal.session_id, last_used)
        return pb.ListSessionsResponse(sessions=sessions, next_page_token=token)

    async def RevokeSession(self, request: pb.RevokeSessionRequest, context: Context) -> pb.RevokeSessionResponse:
        principal = calls.principal()
        session = await self._rules.sessions.revoke(principal, parse.session_id(request))
        return pb.RevokeSessionResponse(session=convert.session(session, principal.session_id))

    async def RevokeOtherSessions(
        self, request: pb.RevokeOtherSessionsRequest, context: Context
    ) -> pb.RevokeOtherSessionsResponse:
        return pb.RevokeOtherSessionsResponse(revoked_count=await self._rules.sessions.revoke_others(calls.principal()))


def _caller() -> Caller:
    """Who is calling, with the account that the access check has just read."""
    principal = calls.principal()
    if not isinstance(principal, Caller):
        raise TypeError("auth verifies its own callers")
    return principal
