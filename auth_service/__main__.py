"""`python -m auth_service serve`, `… migrate`, and what operators do beside the running service: see `--help`."""

import argparse
import gc
import os
from pathlib import Path

gc.disable()  # nothing of what is imported is garbage, and to look for it takes a tenth of the start
# The classic listener and client spare a call 15 % of its CPU (measured with grpcio 1.85.1, which is pinned). The
# setting is not documented, and gRPC reads it when it is imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_client,-event_engine_callback_cq")

from auth_service import emails, server
from auth_service.config import AuthConfig
from auth_service.models import ROLES, KeyState
from auth_service.scopes import AUDIENCE, EVERY_SCOPE, SERVICE_ROLES
from auth_service.service_accounts import MAX_NAME, CreateSecret
from auth_service.store.service_accounts import NewServiceAccount
from shared.grpc import process
from shared.grpc.process import Command

gc.enable()


def _email(text: str) -> str:
    email = emails.normalise(text)
    if email is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an email address")
    return email


def _role(text: str) -> str:
    if text not in ROLES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a role: choose from {', '.join(ROLES)}")
    return text


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", metavar="EMAIL", type=_email, help="the account's address")
    parser.add_argument("roles", metavar="ROLE", type=_role, nargs="*", help=f"{', '.join(ROLES)}; none takes all away")


async def _grant_roles(config: AuthConfig, arguments: argparse.Namespace) -> str:
    async with server.accounts(config) as accounts:
        user = await accounts.grant_roles(arguments.email, arguments.roles)
    return f"{user.email} has {'the roles ' + ', '.join(user.roles) if user.roles else 'no role'} from its next call on"


GRANT_ROLES = Command(
    name="grant-roles",
    help="give an account exactly these roles",
    add_arguments=_add_arguments,
    run=_grant_roles,
)


def _add_emergency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--emergency", action="store_true", help="a key has leaked: end all keys and all access tokens now"
    )


async def _rotate_signing_key(config: AuthConfig, arguments: argparse.Namespace) -> str:
    async with server.signing_keys(config) as rotation:
        newest, *_ = await rotation.rotate(None, emergency=arguments.emergency)
    if arguments.emergency:
        return f"{newest.kid} signs; no other key and no access token of before is accepted, and clients refresh"
    if newest.state is KeyState.PUBLISHED:
        return f"{newest.kid} is published and signs from {newest.sign_time:%Y-%m-%d %H:%M:%S %Z} on"
    return f"{newest.kid} signs"


ROTATE_SIGNING_KEY = Command(
    name="rotate-signing-key",
    help="sign access tokens with another key",
    add_arguments=_add_emergency,
    run=_rotate_signing_key,
)


def _name(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text) <= MAX_NAME:
        raise argparse.ArgumentTypeError(f"a name has 1 to {MAX_NAME} characters, and no control characters")
    return text


def _audience(text: str) -> str:
    if not AUDIENCE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a service")
    return text


def _add_account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", type=_name, help="what to call it")
    for option, values, text in (
        ("--role", SERVICE_ROLES, "a role that it has"),
        ("--scope", EVERY_SCOPE, "what it may do; without any, all that its roles open but acting for users"),
    ):
        parser.add_argument(option, action="append", default=[], choices=values, help=text)
    parser.add_argument(
        "--audience",
        action="append",
        type=_audience,
        required=True,
        metavar="SERVICE",
        help="whom its tokens may be for, such as auth or chat",
    )


async def _create_service_account(config: AuthConfig, arguments: argparse.Namespace) -> str:
    new = NewServiceAccount(
        display_name=arguments.name,
        roles=tuple(sorted(set(arguments.role))),
        audiences=tuple(sorted(set(arguments.audience))),
        scopes=tuple(sorted(set(arguments.scope))),
        request_id=None,
    )
    async with server.service_accounts(config) as accounts:
        account = await accounts.create(new)
        made = await accounts.create_secret(CreateSecret(account_id=account.user.id, expire_time=None, request_id=None))
    end = f"{made.secret.session.expire_time:%Y-%m-%d}"
    return f"client id:     {account.user.id}\nclient secret: {made.text}\ngood until:    {end}, and not shown again"


CREATE_SERVICE_ACCOUNT = Command(
    name="create-service-account",
    help="make a service account, with a client secret that is shown once",
    add_arguments=_add_account,
    run=_create_service_account,
)

if __name__ == "__main__":
    commands = (GRANT_ROLES, ROTATE_SIGNING_KEY, CREATE_SERVICE_ACCOUNT)
    process.main("auth_service", AuthConfig, server.build, Path(__file__).parent / "migrations", *commands)
