"""auth.v1.AdminService."""

from collections.abc import AsyncIterator
from typing import Any

from grpc.aio import ServicerContext

from auth_service.rpc import account_export, administration, convert, parse, service_accounts
from auth_service.rpc.rules import AdminRules
from protos.auth.v1 import admin_service_pb2 as pb
from protos.auth.v1 import admin_service_pb2_grpc, erasures_pb2, signing_keys_pb2
from protos.auth.v1 import administration_pb2 as admin_pb
from protos.auth.v1 import imports_pb2 as imports_pb
from protos.auth.v1 import service_accounts_pb2 as accounts_pb
from shared import calls

Context = ServicerContext[Any, Any]


class AdminService(admin_service_pb2_grpc.AdminServiceServicer):
    """What other services and administrators may see and do."""

    def __init__(self, rules: AdminRules) -> None:
        """Serve with these rules."""
        self._rules = rules

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, context: Context) -> pb.BatchGetUsersResponse:
        found, missing = await self._rules.accounts.batch_get_users(parse.user_ids(request.ids))
        return pb.BatchGetUsersResponse(users=map(convert.user, found), missing_ids=map(str, missing))

    async def PullErasedUsers(
        self, request: erasures_pb2.PullErasedUsersRequest, context: Context
    ) -> erasures_pb2.PullErasedUsersResponse:
        erased = await self._rules.accounts.erased_after(*account_export.erased_after(request))
        return erasures_pb2.PullErasedUsersResponse(erased_users=map(account_export.erased_user, erased))

    async def CreateUser(self, request: admin_pb.CreateUserRequest, context: Context) -> admin_pb.CreateUserResponse:
        user = await self._rules.administration.create(administration.new_user(request))
        return admin_pb.CreateUserResponse(user=convert.user(user))

    async def GetUser(self, request: admin_pb.GetUserRequest, context: Context) -> admin_pb.GetUserResponse:
        user_id, email = administration.wanted_user(request)
        rule = self._rules.administration
        user = await (rule.get(user_id) if user_id else rule.get_by_email(email))
        return admin_pb.GetUserResponse(user=convert.user(user))

    async def ListUsers(self, request: admin_pb.ListUsersRequest, context: Context) -> admin_pb.ListUsersResponse:
        return await self._rules.admin_pages.users(request)

    async def UpdateUser(self, request: admin_pb.UpdateUserRequest, context: Context) -> admin_pb.UpdateUserResponse:
        user = await self._rules.administration.update(*administration.user_change(request))
        return admin_pb.UpdateUserResponse(user=convert.user(user))

    async def SuspendUser(self, request: admin_pb.SuspendUserRequest, context: Context) -> admin_pb.SuspendUserResponse:
        user = await self._rules.administration.suspend(calls.principal(), *administration.commented(request))
        return admin_pb.SuspendUserResponse(user=convert.user(user))

    async def ReinstateUser(
        self, request: admin_pb.ReinstateUserRequest, context: Context
    ) -> admin_pb.ReinstateUserResponse:
        user = await self._rules.administration.reinstate(*administration.commented(request))
        return admin_pb.ReinstateUserResponse(user=convert.user(user))

    async def ListUserSessions(
        self, request: admin_pb.ListUserSessionsRequest, context: Context
    ) -> admin_pb.ListUserSessionsResponse:
        return await self._rules.admin_pages.sessions(request, calls.principal().session_id)

    async def RevokeUserSessions(
        self, request: admin_pb.RevokeUserSessionsRequest, context: Context
    ) -> admin_pb.RevokeUserSessionsResponse:
        count = await self._rules.administration.revoke_sessions(*administration.doomed_sessions(request))
        return admin_pb.RevokeUserSessionsResponse(revoked_count=count)

    async def ListAuditEvents(
        self, request: admin_pb.ListAuditEventsRequest, context: Context
    ) -> admin_pb.ListAuditEventsResponse:
        return await self._rules.admin_pages.events(request)

    async def RotateSigningKey(
        self, request: signing_keys_pb2.RotateSigningKeyRequest, context: Context
    ) -> signing_keys_pb2.RotateSigningKeyResponse:
        keys = await self._rules.key_rotation.rotate(calls.principal().user_id, emergency=request.emergency)
        return signing_keys_pb2.RotateSigningKeyResponse(keys=map(convert.signing_key, keys))

    def ImportUsers(
        self, request_iterator: AsyncIterator[imports_pb.ImportUsersRequest], context: Context
    ) -> AsyncIterator[imports_pb.ImportUsersResponse]:
        return self._rules.user_imports.answers(request_iterator)

    async def CreateServiceAccount(
        self, request: accounts_pb.CreateServiceAccountRequest, context: Context
    ) -> accounts_pb.CreateServiceAccountResponse:
        made = await self._rules.service_accounts.create(service_accounts.new_account(request))
        page = self._rules.service_account_pages
        return accounts_pb.CreateServiceAccountResponse(service_account=await page.changed(made))

    async def GetServiceAccount(
        self, request: accounts_pb.GetServiceAccountRequest, context: Context
    ) -> accounts_pb.GetServiceAccountResponse:
        account_id = service_accounts.account_id(request.service_account_id)
        found = await self._rules.service_account_pages.one(account_id)
        return accounts_pb.GetServiceAccountResponse(service_account=found)

    async def ListServiceAccounts(
        self, request: accounts_pb.ListServiceAccountsRequest, context: Context
    ) -> accounts_pb.ListServiceAccountsResponse:
        return await self._rules.service_account_pages.read(request)

    async def UpdateServiceAccount(
        self, request: accounts_pb.UpdateServiceAccountRequest, context: Context
    ) -> accounts_pb.UpdateServiceAccountResponse:
        changed = await self._rules.service_accounts.update(*service_accounts.account_change(request))
        page = self._rules.service_account_pages
        return accounts_pb.UpdateServiceAccountResponse(service_account=await page.changed(changed))

    async def DeleteServiceAccount(
        self, request: accounts_pb.DeleteServiceAccountRequest, context: Context
    ) -> accounts_pb.DeleteServiceAccountResponse:
        await self._rules.service_accounts.delete(service_accounts.account_id(request.service_account_id))
        return accounts_pb.DeleteServiceAccountResponse()

    async def CreateClientSecret(
        self, request: accounts_pb.CreateClientSecretRequest, context: Context
    ) -> accounts_pb.CreateClientSecretResponse:
        made = await self._rules.service_accounts.create_secret(service_accounts.new_secret(request))
        return service_accounts.made(made)

    async def RevokeClientSecret(
        self, request: accounts_pb.RevokeClientSecretRequest, context: Context
    ) -> accounts_pb.RevokeClientSecretResponse:
        ended = await self._rules.service_accounts.revoke_secret(*service_accounts.secret_id(request))
        return accounts_pb.RevokeClientSecretResponse(client_secret=service_accounts.client_secret(ended))
