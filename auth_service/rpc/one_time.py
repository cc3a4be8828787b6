"""Requests around mails and the changes that they prove, into commands."""

from typing import Final

from auth_service import emails, passwords
from auth_service.account_changes import NewPassword
from auth_service.models import Challenge, SignedIn
from auth_service.one_time_codes import DIGITS, Proof
from auth_service.rpc import convert, parse
from protos.auth.v1 import one_time_pb2 as pb
from shared.validation import Violations

MAX_TOKEN: Final = 512


def email(text: str, field: str = "email") -> str:
    """The address that is meant, normalised."""
    violations = Violations()
    normalised = emails.normalise(text)
    if normalised is None:
        violations.add(field, f"must be an email address of at most {emails.MAX_LENGTH} characters")
    violations.done()
    return normalised or ""


def proof(request: pb.VerifyEmailRequest | pb.ConfirmEmailChangeRequest) -> Proof:
    """What proves that a mail arrived."""
    violations = Violations()
    presented = _proof(violations, request)
    violations.done()
    return presented


def log_in(request: pb.LogInWithLinkRequest) -> tuple[Proof, str]:
    """What proves that a mail arrived, and what to call the device."""
    violations = Violations()
    presented = _proof(violations, request)
    label = violations.text("device_label", request.device_label, longest=parse.MAX_LABEL)
    violations.done()
    return presented, label


def signed_in(model: SignedIn | Challenge) -> pb.LogInWithLinkResponse:
    """The answer to a log-in by mail."""
    if isinstance(model, Challenge):
        return pb.LogInWithLinkResponse(challenge=convert.challenge(model))
    return pb.LogInWithLinkResponse(
        user=convert.user(model.user),
        session=convert.session(model.session, model.session.id),
        tokens=convert.tokens(model.tokens),
    )


def restoration(request: pb.RestoreAccountRequest) -> Proof:
    """What proves that the mail about a deletion arrived."""
    violations = Violations()
    token = violations.text("token", request.token, shortest=1, longest=MAX_TOKEN)
    violations.done()
    return Proof(token=token, request_token="", code="")


def reset(request: pb.ResetPasswordRequest, min_length: int) -> NewPassword:
    """A proof with a new password; whether the account may have that one is found out later."""
    violations = Violations()
    presented = _proof(violations, request)
    _new_password(violations, request.new_password, min_length)
    violations.done()
    return NewPassword(password=request.new_password, proof=presented)


def change(request: pb.ChangePasswordRequest, min_length: int) -> NewPassword:
    """The present password with a new one."""
    violations = Violations()
    if not request.current_password:
        violations.add("current_password", "must be set")
    elif passwords.overlong(request.current_password):
        violations.add("current_password", passwords.OVERLONG)
    _new_password(violations, request.new_password, min_length)
    violations.done()
    return NewPassword(password=request.new_password, current_password=request.current_password)


def _new_password(violations: Violations, password: str, min_length: int) -> None:
    problem = passwords.objection(password, email="", display_name="", shortest=min_length)
    if problem is not None:
        violations.add("new_password", problem)


def _proof(
    violations: Violations,
    request: pb.VerifyEmailRequest | pb.ConfirmEmailChangeRequest | pb.ResetPasswordRequest | pb.LogInWithLinkRequest,
) -> Proof:
    if bool(request.token) == bool(request.request_token or request.code):
        violations.add("token", "either token must be set, or request_token and code")
    if request.code and not (len(request.code) == DIGITS and request.code.isascii() and request.code.isdigit()):
        violations.add("code", f"must be {DIGITS} digits")
    return Proof(
        token=violations.text("token", request.token, longest=MAX_TOKEN),
        request_token=violations.text("request_token", request.request_token, longest=MAX_TOKEN),
        code=request.code,
    )
