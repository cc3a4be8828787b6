"""`python -m auth_service serve`, `… migrate`, `… grant-roles EMAIL ROLE…` and `… rotate-signing-key`."""

import argparse
import os
from pathlib import Path

# The classic listener and client spare a call 15 % of its CPU (measured with grpcio 1.85.1, which is pinned). The
# setting is not documented, and gRPC reads it when it is imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_client,-event_engine_callback_cq")

from auth_service import emails, server
from auth_service.config import AuthConfig
from auth_service.models import ROLES, KeyState
from shared.grpc import process
from shared.grpc.process import Command


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

if __name__ == "__main__":
    process.main(
        "auth_service", AuthConfig, server.build, Path(__file__).parent / "migrations", GRANT_ROLES, ROTATE_SIGNING_KEY
    )
