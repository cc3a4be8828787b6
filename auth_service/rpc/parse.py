"""Requests into commands; all that is wrong with one is told at once."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from auth_service import emails, passwords, refresh_tokens
from auth_service.rpc import convert
from auth_service.sign_ins import LogIn, SignUp
from protos.auth.v1 import account_service_pb2, auth_service_pb2
from shared.validation import Violations

_MAX_TOKENS: Final = 100
_MAX_IDS: Final = 100
MAX_LABEL: Final = 100
_MAX_DISPLAY_NAME: Final = 100
_MAX_LOCALE: Final = 35
_WRITABLE: Final = ("display_name",)


def sign_up(request: auth_service_pb2.SignUpRequest, min_length: int) -> SignUp:
    """The command of a sign-up; `min_length` is that of a password."""
    violations = Violations()
    email = _email(violations, request.email)
    objection = passwords.objection(
        request.password, email=email, display_name=request.display_name, shortest=min_length
    )
    if objection is not None:
        violations.add("password", objection)
    command = SignUp(
        email=email,
        password=request.password,
        display_name=violations.line("display_name", request.display_name, longest=_MAX_DISPLAY_NAME),
        locale=violations.line("locale", request.locale, longest=_MAX_LOCALE),
        device_label=violations.text("device_label", request.device_label, longest=MAX_LABEL),
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return command


def log_in(request: auth_service_pb2.LogInRequest) -> LogIn:
    """The command of a log-in; a password over the limit is refused before it is hashed, whoever it is for."""
    violations = Violations()
    command = LogIn(
        email=_email(violations, request.email),
        password=present_password(violations, request.password),
        device_label=violations.text("device_label", request.device_label, longest=MAX_LABEL),
    )
    violations.done()
    return command


def refresh_token(request: auth_service_pb2.RefreshTokenRequest) -> str:
    """The text of the refresh token."""
    violations = Violations()
    text = violations.text("refresh_token", request.refresh_token, shortest=1, longest=refresh_tokens.MAX_LENGTH)
    violations.done()
    return text


def access_tokens(request: auth_service_pb2.BatchVerifyTokensRequest) -> Sequence[str]:
    """The tokens to verify."""
    violations = Violations()
    violations.count("access_tokens", request.access_tokens, most=_MAX_TOKENS)
    violations.done()
    return request.access_tokens


def update_profile(request: account_service_pb2.UpdateProfileRequest) -> tuple[str | None, int | None]:
    """The display name to write, or None, and the revision that is to be changed, or None."""
    violations = Violations()
    given = [name for name in _WRITABLE if getattr(request.user, name)]
    fields = violations.mask(request.update_mask.paths, _WRITABLE, given)
    name = violations.line("user.display_name", request.user.display_name, longest=_MAX_DISPLAY_NAME)
    revision = convert.revision(request.user.etag)
    if request.user.etag and revision is None:
        violations.add("user.etag", "must be the etag of a profile that was read, as it was read")
    violations.done()
    return (name if "display_name" in fields else None), revision


def session_id(request: account_service_pb2.RevokeSessionRequest) -> UUID:
    """The session to end."""
    violations = Violations()
    parsed = violations.id("session_id", request.session_id)
    violations.done()
    return parsed


def user_ids(ids: Sequence[str]) -> list[UUID]:
    """The users to look up, each once."""
    violations = Violations()
    violations.count("ids", ids, most=_MAX_IDS)
    parsed = [violations.id(f"ids[{number}]", text) for number, text in enumerate(ids[:_MAX_IDS])]
    violations.done()
    return list(dict.fromkeys(parsed))


def present_password(violations: Violations, text: str) -> str:
    """One to check, not to choose: of any kind, but not so long that it could not have been chosen."""
    if not text:
        violations.add("password", "must be set")
    elif passwords.overlong(text):
        violations.add("password", passwords.OVERLONG)
    return text


def _email(violations: Violations, text: str) -> str:
    email = emails.normalise(text)
    if email is None:
        violations.add("email", f"must be an email address of at most {emails.MAX_LENGTH} characters")
    return email or ""
