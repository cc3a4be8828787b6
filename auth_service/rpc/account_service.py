"""auth.v1.AccountService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from auth_service.rpc import account_export, api_keys, callers, convert, factors, one_time, parse, passkeys
from auth_service.rpc.rules import AccountRules
from protos.auth.v1 import account_export_pb2, account_service_pb2_grpc, api_keys_pb2, factors_pb2, passkeys_pb2
from protos.auth.v1 import account_service_pb2 as pb
from protos.auth.v1 import one_time_pb2 as one_time_pb
from shared import calls

Context = ServicerContext[Any, Any]


class AccountService(account_service_pb2_grpc.AccountServiceServicer):
    """What users see and change of their own."""

    def __init__(self, rules: AccountRules) -> None:
        """Serve with these rules."""
        self._rules = rules

    async def GetProfile(self, request: pb.GetProfileRequest, context: Context) -> pb.GetProfileResponse:
        return pb.GetProfileResponse(user=convert.user(callers.caller().user))

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, context: Context) -> pb.UpdateProfileResponse:
        display_name, revision = parse.update_profile(request)
        user = await self._rules.accounts.update_profile(callers.caller().user, display_name, revision)
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

    async def ChangePassword(
        self, request: one_time_pb.ChangePasswordRequest, context: Context
    ) -> one_time_pb.ChangePasswordResponse:
        new = one_time.change(request, self._rules.password_min_length)
        count = await self._rules.password_changes.change(callers.caller(), new)
        return one_time_pb.ChangePasswordResponse(revoked_count=count)

    async def CreateApiKey(
        self, request: api_keys_pb2.CreateApiKeyRequest, context: Context
    ) -> api_keys_pb2.CreateApiKeyResponse:
        made = await self._rules.api_keys.create(calls.principal(), api_keys.create_key(request))
        return api_keys.created(made)

    async def ListApiKeys(
        self, request: api_keys_pb2.ListApiKeysRequest, context: Context
    ) -> api_keys_pb2.ListApiKeysResponse:
        return await self._rules.api_key_pages.read(calls.principal(), request)

    async def RevokeApiKey(
        self, request: api_keys_pb2.RevokeApiKeyRequest, context: Context
    ) -> api_keys_pb2.RevokeApiKeyResponse:
        ended = await self._rules.api_keys.revoke(calls.principal(), api_keys.key_id(request))
        return api_keys_pb2.RevokeApiKeyResponse(api_key=api_keys.api_key(ended))

    async def RotateApiKey(
        self, request: api_keys_pb2.RotateApiKeyRequest, context: Context
    ) -> api_keys_pb2.RotateApiKeyResponse:
        made = await self._rules.api_keys.rotate(calls.principal(), api_keys.rotate_key(request))
        return api_keys.rotated(made)

    async def ChangeEmail(
        self, request: one_time_pb.ChangeEmailRequest, context: Context
    ) -> one_time_pb.ChangeEmailResponse:
        email = one_time.email(request.new_email, "new_email")
        token = await self._rules.changes.request_email_change(callers.caller(), email)
        return one_time_pb.ChangeEmailResponse(request_token=token)

    async def DeleteAccount(
        self, request: one_time_pb.DeleteAccountRequest, context: Context
    ) -> one_time_pb.DeleteAccountResponse:
        user = await self._rules.changes.delete(callers.caller(), self._rules.deletion_grace)
        return one_time_pb.DeleteAccountResponse(user=convert.user(user))

    async def ExportAccount(
        self, request: account_export_pb2.ExportAccountRequest, context: Context
    ) -> AsyncIterator[account_export_pb2.ExportAccountResponse]:
        principal = calls.principal()
        async with aclosing(self._rules.export.records(principal)) as records:
            async for record in records:
                yield account_export.record(record, principal.session_id)

    async def Reauthenticate(
        self, request: factors_pb2.ReauthenticateRequest, context: Context
    ) -> factors_pb2.ReauthenticateResponse:
        command = factors.reauthentication(request)
        return factors.reauthenticated(await self._rules.step_ups.reauthenticate(callers.caller(), command))

    async def GetSecondFactors(
        self, request: factors_pb2.GetSecondFactorsRequest, context: Context
    ) -> factors_pb2.GetSecondFactorsResponse:
        return factors.second_factors(await self._rules.factors.find(calls.principal()))

    async def EnrollTotp(
        self, request: factors_pb2.EnrollTotpRequest, context: Context
    ) -> factors_pb2.EnrollTotpResponse:
        return factors.enrolment(await self._rules.totp.enroll(callers.caller()))

    async def ConfirmTotp(
        self, request: factors_pb2.ConfirmTotpRequest, context: Context
    ) -> factors_pb2.ConfirmTotpResponse:
        code = factors.totp_code(request)
        codes = await self._rules.totp.confirm(callers.caller(), code, revoke_others=request.revoke_other_sessions)
        return factors_pb2.ConfirmTotpResponse(recovery_codes=codes)

    async def DisableTotp(
        self, request: factors_pb2.DisableTotpRequest, context: Context
    ) -> factors_pb2.DisableTotpResponse:
        await self._rules.totp.disable(callers.caller(), factors.proof(request))
        return factors_pb2.DisableTotpResponse()

    async def RegenerateRecoveryCodes(
        self, request: factors_pb2.RegenerateRecoveryCodesRequest, context: Context
    ) -> factors_pb2.RegenerateRecoveryCodesResponse:
        codes = await self._rules.factors.regenerate_recovery_codes(calls.principal())
        return factors_pb2.RegenerateRecoveryCodesResponse(recovery_codes=codes)

    async def BeginPasskeyRegistration(
        self, request: passkeys_pb2.BeginPasskeyRegistrationRequest, context: Context
    ) -> passkeys_pb2.BeginPasskeyRegistrationResponse:
        options = await self._rules.passkeys.begin_registration(callers.caller())
        return passkeys_pb2.BeginPasskeyRegistrationResponse(**passkeys.options(options))

    async def FinishPasskeyRegistration(
        self, request: passkeys_pb2.FinishPasskeyRegistrationRequest, context: Context
    ) -> passkeys_pb2.FinishPasskeyRegistrationResponse:
        credential, name = passkeys.registration(request)
        added = await self._rules.passkeys.finish_registration(
            callers.caller(), credential, name, revoke_others=request.revoke_other_sessions
        )
        return passkeys.registered(added)

    async def ListPasskeys(
        self, request: passkeys_pb2.ListPasskeysRequest, context: Context
    ) -> passkeys_pb2.ListPasskeysResponse:
        page, token = await self._rules.passkey_pages.read(calls.principal(), request)
        return passkeys_pb2.ListPasskeysResponse(passkeys=map(passkeys.passkey, page), next_page_token=token)

    async def DeletePasskey(
        self, request: passkeys_pb2.DeletePasskeyRequest, context: Context
    ) -> passkeys_pb2.DeletePasskeyResponse:
        await self._rules.passkeys.delete(calls.principal(), passkeys.passkey_id(request))
        return passkeys_pb2.DeletePasskeyResponse()

    async def BeginPasskeyProof(
        self, request: passkeys_pb2.BeginPasskeyProofRequest, context: Context
    ) -> passkeys_pb2.BeginPasskeyProofResponse:
        options = await self._rules.passkeys.begin_proof(callers.caller())
        return passkeys_pb2.BeginPasskeyProofResponse(**passkeys.options(options))
