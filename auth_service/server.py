"""The one place where auth is put together."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

from auth_service import cleanup, key_rotation, resealing, revocations
from auth_service.access_tokens import Minter
from auth_service.account_changes import AccountChanges, PasswordChanges
from auth_service.account_export import AccountExport
from auth_service.accounts import Accounts
from auth_service.administration import Administration
from auth_service.admissions import Admissions
from auth_service.api_keys import ApiKeys
from auth_service.challenges import Challenges
from auth_service.config import AuthConfig
from auth_service.directory import Directory
from auth_service.factors import Factors
from auth_service.imports import Imports
from auth_service.issuing import Issuer
from auth_service.key_rotation import KeyRotation
from auth_service.keys import Keys
from auth_service.last_uses import WRITE_SECONDS, LastUses
from auth_service.limits import AuthLimits
from auth_service.link_log_ins import LinkLogIns
from auth_service.machine_secrets import MachineSecrets
from auth_service.mail import sender
from auth_service.mail.composer import Composer
from auth_service.mail.notices import Notices
from auth_service.mail.outbox import Outbox
from auth_service.mail.sender import MailSender
from auth_service.mailed_codes import MailedCodes
from auth_service.one_time_codes import OneTimeSecrets
from auth_service.passkey_checks import PasskeyChecks
from auth_service.passkey_log_ins import PasskeyLogIns
from auth_service.passkeys import Passkeys
from auth_service.password_checks import PasswordChecks
from auth_service.passwords import Passwords
from auth_service.proofs import Proofs
from auth_service.refresh_tokens import RefreshTokens
from auth_service.resealing import Resealing, SealedTable
from auth_service.revocations import Revocations
from auth_service.rpc.account_service import AccountService
from auth_service.rpc.admin_service import AdminService
from auth_service.rpc.administration import AdminPages
from auth_service.rpc.api_keys import ApiKeyPages
from auth_service.rpc.auth_service import AuthService
from auth_service.rpc.authorization import Authorization
from auth_service.rpc.passkeys import PasskeyPages
from auth_service.rpc.rules import AccountRules, AdminRules, AuthRules
from auth_service.rpc.secrets import LimitGuesses
from auth_service.rpc.service_accounts import ServiceAccountPages
from auth_service.rpc.session_pages import SessionPages
from auth_service.rpc.user_imports import UserImports
from auth_service.service_accounts import ServiceAccounts
from auth_service.service_keys import ServiceKeys
from auth_service.service_tokens import ServiceTokens
from auth_service.sessions import Sessions
from auth_service.sign_ins import SignIns
from auth_service.step_ups import StepUps
from auth_service.store import mail_outbox, totp_secrets
from auth_service.store import signing_keys as signing_key_rows
from auth_service.store.cache_epochs import CacheEpochs
from auth_service.totp import Totp
from auth_service.verification import Machines, OwnCallers, TokenVerifier
from protos.auth.v1 import account_service_pb2 as account_pb2
from protos.auth.v1 import account_service_pb2_grpc, admin_service_pb2_grpc, auth_service_pb2_grpc
from protos.auth.v1 import admin_service_pb2 as admin_pb2
from protos.auth.v1 import auth_service_pb2 as auth_pb2
from protos.options.v1 import access_pb2
from shared import cleanup as batches
from shared.access_tokens import TokenChecker
from shared.cache import Cache
from shared.grpc.access import Access, open_paths
from shared.grpc.runtime import Resources, resources, serving
from shared.grpc.server import GrpcServer, Service
from shared.paging import PageTokens
from shared.ratelimit import RateLimiter

log = structlog.get_logger()

_OWN_AUDIENCE: Final = "auth"
_MACHINE_SECRETS: Final = "machine secrets"
_DOMAIN: Final = "auth.parley"
_SIGNING_KEYS: Final = "signing keys"
_MAIL: Final = "mail"
_TOTP: Final = "totp secrets"
_PAY_SECONDS: Final = 1.0
_INTROSPECTION: Final = ("VerifyToken", "BatchVerifyTokens")


@contextlib.asynccontextmanager
async def build(config: AuthConfig) -> AsyncIterator[GrpcServer]:
    """Auth, serving until the context ends."""
    async with resources("parley-auth", config) as held:
        cache = Cache(held.link, CacheEpochs(held.control))
        await cache.start(held.background)
        rotation = _key_rotation(config, held)
        await rotation.begin()
        held.background.every(key_rotation.TICK_SECONDS, "signing key rotation", rotation.move_on)
        signing = Keys(held.control, config.key_ring.sealing(_SIGNING_KEYS))
        await signing.start(held.background)
        held.background.every(resealing.PAUSE_SECONDS, "resealing", _resealing(config, held).work)
        held.background.every(_PAY_SECONDS, "cache debts", cleanup.Debts(held.control, cache).pay)
        passwords = Passwords(config.hash_threads, failure_seconds=config.failed_log_in_seconds)
        directory = Directory(held.database, cache)
        tasks = cleanup.tasks(config.audit_retention, directory.user_key_prefix)
        batches.schedule(tasks, held.database, held.background)
        last_uses = LastUses(held.database)
        held.background.every(WRITE_SECONDS, "last uses", last_uses.write)
        machines = Machines(audiences=config.token_audiences, last_uses=last_uses)
        verifier = TokenVerifier(TokenChecker(config.issuer, _OWN_AUDIENCE), signing, directory, machines)
        callers = OwnCallers(verifier, ServiceKeys(config.known_service_keys))
        limits = AuthLimits(RateLimiter(held.link, config.key_ring.derive("rate limits")), config.volumes)
        services = _services(
            config,
            held,
            directory=directory,
            passwords=passwords,
            signing=signing,
            verifier=verifier,
            limits=limits,
            last_uses=last_uses,
        )
        guesses = LimitGuesses([service.descriptor for service in services], limits)
        try:
            async with serving(config, held, services, callers, _DOMAIN, [guesses]) as server:
                yield server
        finally:
            passwords.close()


@contextlib.asynccontextmanager
async def accounts(config: AuthConfig) -> AsyncIterator[Accounts]:
    """The accounts alone, for an operator's command beside the running service."""
    async with resources("parley-auth-operator", config) as held:
        cache = Cache(held.link, CacheEpochs(held.control))
        await cache.start(held.background)
        yield Accounts(held.database, Directory(held.database, cache))


@contextlib.asynccontextmanager
async def service_accounts(config: AuthConfig) -> AsyncIterator[ServiceAccounts]:
    """The service accounts alone, for an operator's command beside the running service."""
    async with resources("parley-auth-operator", config) as held:
        cache = Cache(held.link, CacheEpochs(held.control))
        await cache.start(held.background)
        yield _service_accounts(config, held, Directory(held.database, cache))


def _service_accounts(config: AuthConfig, held: Resources, directory: Directory) -> ServiceAccounts:
    secrets = MachineSecrets(config.key_ring.macs(_MACHINE_SECRETS))
    return ServiceAccounts(held.database, directory, secrets, config.deletion_grace)


@contextlib.asynccontextmanager
async def signing_keys(config: AuthConfig) -> AsyncIterator[KeyRotation]:
    """The rotation of signing keys alone, for an operator's command beside the running service."""
    async with resources("parley-auth-operator", config) as held:
        yield _key_rotation(config, held)


def _key_rotation(config: AuthConfig, held: Resources) -> KeyRotation:
    return KeyRotation(held.control, config.key_ring.sealing(_SIGNING_KEYS), config.rotation_plan)


def _resealing(config: AuthConfig, held: Resources) -> Resealing:
    """What follows a change of the master key: every table with a sealed column belongs here."""
    sealing = config.key_ring.sealing
    tables = [
        SealedTable(
            name="signing_keys",
            keys=sealing(_SIGNING_KEYS),
            find=signing_key_rows.list_sealed_otherwise,
            replace=signing_key_rows.reseal,
        ),
        SealedTable(
            name="mail_outbox",
            keys=sealing(_MAIL),
            find=mail_outbox.list_sealed_otherwise,
            replace=mail_outbox.reseal,
        ),
        SealedTable(
            name="totp_secrets",
            keys=sealing(_TOTP),
            find=totp_secrets.list_sealed_otherwise,
            replace=totp_secrets.reseal,
        ),
    ]
    return Resealing(held.database, config.key_ring, tables, config.lifetimes.idle)


def _outbox(config: AuthConfig, held: Resources, secrets: OneTimeSecrets) -> Outbox:
    """The outbox, emptied for as long as the service runs where there is a mail server."""
    outbox = Outbox(config.key_ring.sealing(_MAIL))
    if config.mail_route is None:
        log.warning("no mail is sent: AUTH_SMTP_URL is not set")
        return outbox
    server, mail_from = config.mail_route
    mails = MailSender(held.database, outbox, Composer(held.database, mail_from, config.look, secrets), server)
    held.background.every(0, "mail", mails.work)
    held.background.every(sender.MEASURE_SECONDS, "mail backlog", mails.measure)
    return outbox


def _services(
    config: AuthConfig,
    held: Resources,
    *,
    directory: Directory,
    passwords: Passwords,
    signing: Keys,
    verifier: TokenVerifier,
    limits: AuthLimits,
    last_uses: LastUses,
) -> list[Service]:
    ring = config.key_ring
    minter = Minter(signing, config.issuer, config.token_audiences, config.access_token_lifetime)
    issuer = Issuer(minter, RefreshTokens(ring.macs("refresh tokens")), config.lifetimes)
    checks = PasswordChecks(held.database, passwords, limits, held.background, ring.derive("log-in failures"))
    secrets = OneTimeSecrets(ring.macs("one-time codes"))
    outbox = _outbox(config, held, secrets)
    notices = Notices(outbox, of_new_devices=config.new_device_mail)
    sessions = Sessions(held.database, directory, issuer)
    codes = MailedCodes(held.database, outbox, secrets, limits, held.background)
    changes = AccountChanges(held.database, directory, sessions, codes, outbox)
    password_changes = PasswordChanges(changes, codes, passwords, checks, held.database)
    sealing = ring.sealing(_TOTP)
    passkey_checks = PasskeyChecks(held.database, config.relying_party)
    proofs = Proofs(held.database, limits, passkey_checks, sealing, ring.derive("log-in failures"))
    admissions = Admissions(
        held.database, directory, issuer, verifier, passkey_checks, notices, sessions_per_user=config.sessions_per_user
    )
    sign_ins = SignIns(held.database, passwords, checks, limits, issuer, admissions)
    totp = Totp(held.database, directory, sessions, proofs, sealing=sealing, app_name=config.app_name)
    passkeys = Passkeys(held.database, directory, sessions, proofs, passkey_checks)
    profiles = Accounts(held.database, directory)
    administration = Administration(held.database, directory, sessions)
    tokens = PageTokens(ring.macs("page tokens"))
    pages = SessionPages(sessions, tokens)
    auth = AuthService(
        AuthRules(
            sign_ins=sign_ins,
            challenges=Challenges(held.database, limits, proofs, admissions),
            link_log_ins=LinkLogIns(held.database, codes, admissions),
            passkey_log_ins=PasskeyLogIns(held.database, limits, passkey_checks, admissions),
            sessions=sessions,
            verifier=verifier,
            keys=signing,
            revocations=_watched(held, signing),
            service_tokens=ServiceTokens(held.database, directory, verifier, minter, last_uses),
            changes=changes,
            password_changes=password_changes,
            password_min_length=config.password_min_length,
            issuer=config.issuer,
        )
    )
    api_keys = ApiKeys(held.database, directory, MachineSecrets(ring.macs(_MACHINE_SECRETS)))
    machines = _service_accounts(config, held, directory)
    account = AccountService(
        AccountRules(
            accounts=profiles,
            export=AccountExport(held.database, directory),
            sessions=sessions,
            session_pages=pages,
            changes=changes,
            password_changes=password_changes,
            password_min_length=config.password_min_length,
            deletion_grace=config.deletion_grace,
            step_ups=StepUps(held.database, limits, checks, proofs, admissions),
            factors=Factors(held.database, proofs),
            totp=totp,
            passkeys=passkeys,
            passkey_pages=PasskeyPages(passkeys, tokens),
            api_keys=api_keys,
            api_key_pages=ApiKeyPages(api_keys, tokens),
        )
    )
    admin = AdminService(
        AdminRules(
            accounts=profiles,
            administration=administration,
            admin_pages=AdminPages(administration, tokens),
            service_accounts=machines,
            service_account_pages=ServiceAccountPages(machines, tokens),
            key_rotation=_key_rotation(config, held),
            user_imports=UserImports(Imports(held.database, directory)),
        )
    )
    services = [
        Service(
            descriptor=auth_pb2.DESCRIPTOR.services_by_name["AuthService"],
            only_for_services=_INTROSPECTION if config.protect_introspection else (),
            add=lambda server: auth_service_pb2_grpc.add_AuthServiceServicer_to_server(auth, server),
        ),
        Service(
            descriptor=account_pb2.DESCRIPTOR.services_by_name["AccountService"],
            add=lambda server: account_service_pb2_grpc.add_AccountServiceServicer_to_server(account, server),
        ),
        Service(
            descriptor=admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
            add=lambda server: admin_service_pb2_grpc.add_AdminServiceServicer_to_server(admin, server),
        ),
    ]
    access = access_pb2.ACCESS_SERVICE if config.protect_introspection else access_pb2.ACCESS_PUBLIC
    return [*services, _authorization(services, verifier, access)]


def _authorization(services: Sequence[Service], verifier: TokenVerifier, access: Access) -> Service:
    """What gateways ask: open inside the network where VerifyToken is."""
    authorization = Authorization(verifier, open_paths(service.descriptor for service in services), _DOMAIN)
    return Service(
        descriptor=external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"],
        add=lambda server: external_auth_pb2_grpc.add_AuthorizationServicer_to_server(authorization, server),
        access=access,
    )


def _watched(held: Resources, signing: Keys) -> Revocations:
    watched = Revocations(held.control, signing)
    held.background.every(revocations.RECONNECT_SECONDS, "revocations", watched.hold)
    held.background.spawn("end of watching", watched.end_with(held.ending))
    return watched
