"""Access tokens that service accounts hold: their own, and those with which they act on a user's behalf.

The first are issued for a client secret (RFC 6749 section 4.4), the others for the user's own token (RFC 8693). Neither
leaves an event: machines do it all day. What is done with them stands in the log, under the ids that they name.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from auth_service import scopes
from auth_service.access_tokens import Grant, Minter
from auth_service.directory import Directory
from auth_service.errors import (
    AudienceNotAllowed,
    InvalidClient,
    ScopeNotAllowed,
    ServiceAccountNotFound,
    SubjectTokenInvalid,
)
from auth_service.last_uses import LastUses
from auth_service.models import ServiceAccount, Session, SessionKind, UserKind
from auth_service.store import service_accounts
from auth_service.verification import TokenVerifier
from shared import identity, machine_secrets
from shared.access_tokens import Actor
from shared.calls import Principal
from shared.db import Database
from shared.errors import PermissionDenied


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueToken:
    """A token that a client asks for; no audiences or scopes are all that it may have."""

    client_id: UUID
    client_secret: str = field(repr=False)
    audiences: Sequence[str]
    scopes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A user's token, and what a service wants to do on that user's behalf."""

    subject_token: str = field(repr=False)
    audiences: Sequence[str]
    scopes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceToken:
    """An access token, and what it is good for."""

    access_token: str = field(repr=False)
    expire_time: datetime
    audiences: Sequence[str]
    scopes: Sequence[str]


class ServiceTokens:
    """What service accounts call others with."""

    def __init__(
        self, database: Database, directory: Directory, verifier: TokenVerifier, minter: Minter, last_uses: LastUses
    ) -> None:
        """Know accounts from Postgres, their secrets from the directory, and users' tokens from the verifier."""
        self._database, self._directory, self._verifier = database, directory, verifier
        self._minter, self._last_uses = minter, last_uses

    async def issue(self, command: IssueToken) -> ServiceToken:
        """A token for a client secret; raises InvalidClient, whatever it is that is wrong."""
        session, account = await self._check(command)
        audiences = _allowed_audiences(command.audiences or account.audiences, account)
        asked = _allowed_scopes(command.scopes or session.scopes, session.scopes)
        self._last_uses.note(session.id)
        grant = Grant(
            user_id=account.user.id,
            session_id=session.id,
            roles=account.user.roles,
            auth_methods=session.auth_methods,
            assurance=session.assurance,
            auth_time=session.auth_time,
            session_expire_time=session.expire_time,
            audiences=audiences,
            scopes=asked,
            client_id=account.user.id,
        )
        return self._mint(grant)

    async def exchange(self, principal: Principal, command: Exchange) -> ServiceToken:
        """A token of the user behind another token, held by the calling service; it ends no later than either."""
        if scopes.ACT_FOR_USERS not in principal.scopes:
            raise PermissionDenied(required_scope=scopes.ACT_FOR_USERS)
        found = await self._verifier.inspect(command.subject_token)
        subject = found.principal
        if subject is None or found.user is None:
            raise SubjectTokenInvalid(inactive_reason=found.reason)
        if subject.actor_id is not None or found.user.kind is not UserKind.PERSON:
            raise SubjectTokenInvalid
        account = await service_accounts.find(self._database, principal.user_id)
        if account is None:
            raise ServiceAccountNotFound
        unlimited = subject.kind is SessionKind.SIGN_IN and not subject.scopes
        of_user = set(scopes.USER_SCOPES if unlimited else subject.scopes)
        grant = Grant(
            user_id=subject.user_id,
            session_id=subject.session_id,
            roles=subject.roles,
            auth_methods=subject.auth_methods,
            assurance=subject.assurance,
            auth_time=subject.auth_time,
            session_expire_time=min(subject.expire_time, principal.expire_time),
            audiences=_allowed_audiences(command.audiences, account),
            scopes=_allowed_scopes(command.scopes, of_user & set(principal.scopes)),
            client_id=account.user.id,
            actor=Actor(principal.user_id, principal.session_id),
        )
        return self._mint(grant)

    async def _check(self, command: IssueToken) -> tuple[Session, ServiceAccount]:
        presented = machine_secrets.read(command.client_secret)
        if presented is None or presented.kind is not SessionKind.CLIENT_SECRET:
            raise InvalidClient
        session, user = await self._directory.session_and_holder(presented.session_id)
        if session is None or not presented.opens(session) or identity.objection(command.client_id, session, user):
            raise InvalidClient
        account = await service_accounts.find(self._database, session.user_id)
        if account is None:
            raise InvalidClient
        return session, account

    def _mint(self, grant: Grant) -> ServiceToken:
        access_token, expire_time = self._minter.mint(grant)
        return ServiceToken(
            access_token=access_token, expire_time=expire_time, audiences=grant.audiences, scopes=grant.scopes
        )


def _allowed_audiences(asked: Sequence[str], account: ServiceAccount) -> Sequence[str]:
    for audience in asked:
        if audience not in account.audiences:
            raise AudienceNotAllowed(audience=audience)
    return asked


def _allowed_scopes(asked: Sequence[str], allowed: Collection[str]) -> Sequence[str]:
    for scope in asked:
        if scope not in allowed:
            raise ScopeNotAllowed(scope=scope)
    return asked
