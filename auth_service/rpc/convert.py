"""Models into messages."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from auth_service.models import (
    Challenge,
    InactiveReason,
    KeyState,
    SecondFactor,
    Session,
    SessionKind,
    SignedIn,
    SigningKeyStatus,
    Tokens,
    User,
    UserKind,
    UserState,
    Verification,
)
from auth_service.revocations import Heartbeat, News
from protos.auth.v1 import auth_service_pb2, factors_pb2, resources_pb2, revocations_pb2, signing_keys_pb2
from shared.grpc.values import duration, timestamp
from shared.ids import text_of
from shared.revocations import RevocationKind

_USER_STATES: Final = {
    UserState.ACTIVE: resources_pb2.USER_STATE_ACTIVE,
    UserState.SUSPENDED: resources_pb2.USER_STATE_SUSPENDED,
    UserState.DELETED: resources_pb2.USER_STATE_DELETED,
}
_USER_KINDS: Final = {
    UserKind.PERSON: resources_pb2.USER_KIND_PERSON,
    UserKind.SERVICE: resources_pb2.USER_KIND_SERVICE,
}
_SESSION_KINDS: Final = {
    SessionKind.SIGN_IN: resources_pb2.SESSION_KIND_SIGN_IN,
    SessionKind.API_KEY: resources_pb2.SESSION_KIND_API_KEY,
    SessionKind.CLIENT_SECRET: resources_pb2.SESSION_KIND_CLIENT_SECRET,
}
_INACTIVE_REASONS: Final = {
    InactiveReason.MALFORMED: resources_pb2.INACTIVE_REASON_MALFORMED,
    InactiveReason.INVALID: resources_pb2.INACTIVE_REASON_INVALID,
    InactiveReason.EXPIRED: resources_pb2.INACTIVE_REASON_EXPIRED,
    InactiveReason.REVOKED: resources_pb2.INACTIVE_REASON_REVOKED,
    InactiveReason.USER_INACTIVE: resources_pb2.INACTIVE_REASON_USER_INACTIVE,
}
_REVOCATION_KINDS: Final = {
    RevocationKind.SESSION_ENDED: revocations_pb2.REVOCATION_KIND_SESSION_ENDED,
    RevocationKind.SESSION_CHANGED: revocations_pb2.REVOCATION_KIND_SESSION_CHANGED,
    RevocationKind.USER_CHANGED: revocations_pb2.REVOCATION_KIND_USER_CHANGED,
}
_KEY_STATES: Final = {
    KeyState.PUBLISHED: signing_keys_pb2.SIGNING_KEY_STATE_PUBLISHED,
    KeyState.SIGNING: signing_keys_pb2.SIGNING_KEY_STATE_SIGNING,
    KeyState.RETIRING: signing_keys_pb2.SIGNING_KEY_STATE_RETIRING,
    KeyState.REMOVED: signing_keys_pb2.SIGNING_KEY_STATE_REMOVED,
}
_SECOND_FACTORS: Final = {
    SecondFactor.TOTP: factors_pb2.SECOND_FACTOR_TOTP,
    SecondFactor.RECOVERY_CODE: factors_pb2.SECOND_FACTOR_RECOVERY_CODE,
    SecondFactor.PASSKEY: factors_pb2.SECOND_FACTOR_PASSKEY,
}
_ETAG: Final = "r"


def user(model: User) -> resources_pb2.User:
    """An account as its owner sees it."""
    return resources_pb2.User(
        id=text_of(model.id),
        email=model.email,
        display_name=model.display_name,
        roles=model.roles,
        state=_USER_STATES[model.state],
        create_time=timestamp(model.create_time),
        update_time=timestamp(model.update_time),
        etag=f"{_ETAG}{model.revision}",
        kind=_USER_KINDS[model.kind],
        email_verified=model.email_verify_time is not None,
        locale=model.locale,
        purge_time=timestamp(model.purge_time) if model.purge_time else None,
    )


def revision(etag: str) -> int | None:
    """The revision in an etag that we wrote; None for an empty or foreign one."""
    digits = etag.removeprefix(_ETAG)
    is_ours = etag.startswith(_ETAG) and digits.isascii() and digits.isdigit() and len(digits) < 10  # noqa: PLR2004
    return int(digits) if is_ours else None


def session(model: Session, current: UUID, last_used: datetime | None = None) -> resources_pb2.Session:
    """A session, marked where it is the caller's present one."""
    return resources_pb2.Session(
        id=text_of(model.id),
        device_label=model.device_label,
        user_agent=model.user_agent,
        address=model.address,
        auth_methods=model.auth_methods,
        create_time=timestamp(model.create_time),
        last_used_time=timestamp(last_used or model.create_time),
        expire_time=timestamp(model.expire_time),
        revoke_time=timestamp(model.revoke_time) if model.revoke_time else None,
        current=model.id == current,
        kind=_SESSION_KINDS[model.kind],
        scopes=model.scopes,
        assurance_level=model.assurance,
        auth_time=timestamp(model.auth_time),
    )


def sessions(page: Iterable[Session], current: UUID, last_used: Mapping[UUID, datetime]) -> list[resources_pb2.Session]:
    """A page of sessions."""
    return [session(model, current, last_used.get(model.id)) for model in page]


def tokens(model: Tokens) -> resources_pb2.Tokens:
    """A pair of tokens."""
    return resources_pb2.Tokens(
        access_token=model.access_token,
        access_token_expire_time=timestamp(model.access_token_expire_time),
        refresh_token=model.refresh_token,
        refresh_token_expire_time=timestamp(model.refresh_token_expire_time),
    )


def sign_up(model: SignedIn) -> auth_service_pb2.SignUpResponse:
    """The answer to a sign-up."""
    return auth_service_pb2.SignUpResponse(
        user=user(model.user), session=session(model.session, model.session.id), tokens=tokens(model.tokens)
    )


def log_in(model: SignedIn | Challenge) -> auth_service_pb2.LogInResponse:
    """The answer to a log-in."""
    if isinstance(model, Challenge):
        return auth_service_pb2.LogInResponse(challenge=challenge(model))
    return auth_service_pb2.LogInResponse(
        user=user(model.user), session=session(model.session, model.session.id), tokens=tokens(model.tokens)
    )


def challenge(model: Challenge) -> factors_pb2.LogInChallenge:
    """What is lacking for a session."""
    return factors_pb2.LogInChallenge(
        challenge_token=model.token,
        second_factors=[_SECOND_FACTORS[kind] for kind in model.second_factors],
        passkey_options_json=model.passkey_options,
        expire_time=timestamp(model.expire_time),
    )


def verification(model: Verification) -> auth_service_pb2.VerifyTokenResponse:
    """What a token is worth."""
    if model.principal is None:
        reason = _INACTIVE_REASONS[model.reason] if model.reason else resources_pb2.INACTIVE_REASON_INVALID
        return auth_service_pb2.VerifyTokenResponse(active=False, inactive_reason=reason)
    principal = model.principal
    return auth_service_pb2.VerifyTokenResponse(
        active=True,
        user_id=text_of(principal.user_id),
        session_id=text_of(principal.session_id),
        roles=principal.roles,
        scopes=principal.scopes,
        auth_methods=principal.auth_methods,
        expire_time=timestamp(principal.expire_time),
        session_kind=_SESSION_KINDS[principal.kind],
        assurance_level=principal.assurance,
        auth_time=timestamp(principal.auth_time) if principal.auth_time else None,
        actor_id=text_of(principal.actor_id) if principal.actor_id else "",
    )


def news(model: News) -> revocations_pb2.WatchRevocationsResponse:
    """What a watcher is told."""
    return revocations_pb2.WatchRevocationsResponse(
        revocations=[
            revocations_pb2.Revocation(kind=_REVOCATION_KINDS[one.kind], subject_id=str(one.subject_id))
            for one in model.revocations
        ],
        heartbeat=_heartbeat(model.heartbeat) if model.heartbeat else None,
    )


def signing_key(model: SigningKeyStatus) -> signing_keys_pb2.SigningKey:
    """A signing key as an administrator sees it."""
    return signing_keys_pb2.SigningKey(
        kid=model.kid,
        algorithm=model.algorithm,
        state=_KEY_STATES[model.state],
        create_time=timestamp(model.create_time),
        sign_time=timestamp(model.sign_time) if model.sign_time else None,
        retire_time=timestamp(model.retire_time) if model.retire_time else None,
        remove_time=timestamp(model.remove_time) if model.remove_time else None,
    )


def _heartbeat(model: Heartbeat) -> revocations_pb2.Heartbeat:
    epoch = model.epoch
    return revocations_pb2.Heartbeat(
        elapsed=duration(model.elapsed),
        as_of_time=timestamp(model.time),
        key_set_version=model.key_set_version,
        cache_epoch=revocations_pb2.CacheEpoch(
            epoch=epoch.epoch, server_id=epoch.server_id or "", age=duration(epoch.age)
        ),
    )
