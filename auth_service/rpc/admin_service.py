"""auth.v1.AdminService."""

from typing import Any

from grpc.aio import ServicerContext

from auth_service.rpc import convert, parse
from auth_service.rpc.rules import AdminRules
from protos.auth.v1 import admin_service_pb2 as pb
from protos.auth.v1 import admin_service_pb2_grpc

Context = ServicerContext[Any, Any]


class AdminService(admin_service_pb2_grpc.AdminServiceServicer):
    """What other services and administrators may see and do."""

    def __init__(self, rules: AdminRules) -> None:
        """Serve with these rules."""
        self._rules = rules

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, context: Context) -> pb.BatchGetUsersResponse:
        found, missing = await self._rules.accounts.batch_get_users(parse.user_ids(request.ids))
        return pb.BatchGetUsersResponse(users=map(convert.user, found), missing_ids=map(str, missing))
