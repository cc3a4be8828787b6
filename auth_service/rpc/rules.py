"""The rules that each servicer calls."""

from dataclasses import dataclass
from datetime import timedelta

from auth_service.account_changes import AccountChanges, PasswordChanges
from auth_service.account_export import AccountExport
from auth_service.accounts import Accounts
from auth_service.administration import Administration
from auth_service.api_keys import ApiKeys
from auth_service.challenges import Challenges
from auth_service.factors import Factors
from auth_service.key_rotation import KeyRotation
from auth_service.keys import Keys
from auth_service.link_log_ins import LinkLogIns
from auth_service.passkey_log_ins import PasskeyLogIns
from auth_service.passkeys import Passkeys
from auth_service.revocations import Revocations
from auth_service.rpc.administration import AdminPages
from auth_service.rpc.api_keys import ApiKeyPages
from auth_service.rpc.passkeys import PasskeyPages
from auth_service.rpc.service_accounts import ServiceAccountPages
from auth_service.rpc.session_pages import SessionPages
from auth_service.rpc.user_imports import UserImports
from auth_service.service_accounts import ServiceAccounts
from auth_service.service_tokens import ServiceTokens
from auth_service.sessions import Sessions
from auth_service.sign_ins import SignIns
from auth_service.step_ups import StepUps
from auth_service.totp import Totp
from auth_service.verification import TokenVerifier


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthRules:
    """What AuthService serves with."""

    sign_ins: SignIns
    challenges: Challenges
    passkey_log_ins: PasskeyLogIns
    link_log_ins: LinkLogIns
    sessions: Sessions
    verifier: TokenVerifier
    keys: Keys
    revocations: Revocations
    service_tokens: ServiceTokens
    changes: AccountChanges
    password_changes: PasswordChanges
    password_min_length: int
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRules:
    """What AccountService serves with."""

    accounts: Accounts
    export: AccountExport
    sessions: Sessions
    session_pages: SessionPages
    changes: AccountChanges
    password_changes: PasswordChanges
    password_min_length: int
    deletion_grace: timedelta
    step_ups: StepUps
    factors: Factors
    totp: Totp
    passkeys: Passkeys
    passkey_pages: PasskeyPages
    api_keys: ApiKeys
    api_key_pages: ApiKeyPages


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRules:
    """What AdminService serves with."""

    accounts: Accounts
    administration: Administration
    admin_pages: AdminPages
    service_accounts: ServiceAccounts
    service_account_pages: ServiceAccountPages
    key_rotation: KeyRotation
    user_imports: UserImports
