"""Second factors: requests into commands, and models into messages."""

import re
from typing import Final, TypeAlias

from auth_service import ceremonies, challenge_tokens, recovery_codes, totp_codes
from auth_service.models import FactorProof, SecondFactor, SecondFactors, SignedIn, TotpEnrolment
from auth_service.rpc import convert, parse
from auth_service.step_ups import Reauthentication
from protos.auth.v1 import factors_pb2 as pb
from shared.grpc.values import timestamp
from shared.validation import Violations

Proving: TypeAlias = pb.CompleteLogInRequest | pb.DisableTotpRequest | pb.ReauthenticateRequest

_DIGITS: Final = re.compile(rf"[0-9]{{{totp_codes.DIGITS}}}")
_WRONG_CODE: Final = f"must be {totp_codes.DIGITS} digits"


def log_in_completion(request: pb.CompleteLogInRequest) -> tuple[str, FactorProof]:
    """The token of a challenge, and what is to complete it."""
    violations = Violations()
    token = violations.text("challenge_token", request.challenge_token, shortest=1, longest=challenge_tokens.MAX_LENGTH)
    proven = _proof(violations, request)
    violations.done()
    return token, proven


def reauthentication(request: pb.ReauthenticateRequest) -> Reauthentication:
    """What a user proves again."""
    violations = Violations()
    second = _proof(violations, request) if request.WhichOneof("proof") else None
    password = request.password
    if password or second is None or second.kind is not SecondFactor.PASSKEY:
        password = parse.present_password(violations, password)
    violations.done()
    return Reauthentication(password=password, second=second)


def proof(request: Proving) -> FactorProof:
    """The second factor in a request."""
    violations = Violations()
    proven = _proof(violations, request)
    violations.done()
    return proven


def totp_code(request: pb.ConfirmTotpRequest) -> str:
    """The digits that an authenticator app shows."""
    violations = Violations()
    code = _digits(violations, request.totp_code)
    violations.done()
    return code


def second_factors(model: SecondFactors) -> pb.GetSecondFactorsResponse:
    """What an account has beside its password."""
    since = model.totp_confirm_time
    return pb.GetSecondFactorsResponse(
        totp_enabled=since is not None,
        totp_confirm_time=timestamp(since) if since else None,
        recovery_code_count=model.recovery_code_count,
        passkey_count=model.passkey_count,
    )


def enrolment(model: TotpEnrolment) -> pb.EnrollTotpResponse:
    """What an authenticator app needs."""
    return pb.EnrollTotpResponse(secret=model.secret, otpauth_uri=model.uri, expire_time=timestamp(model.expire_time))


def completed(model: SignedIn) -> pb.CompleteLogInResponse:
    """The answer to the second half of a log-in."""
    return pb.CompleteLogInResponse(
        user=convert.user(model.user),
        session=convert.session(model.session, model.session.id),
        tokens=convert.tokens(model.tokens),
    )


def reauthenticated(model: SignedIn) -> pb.ReauthenticateResponse:
    """The session that takes the place of the former one."""
    return pb.ReauthenticateResponse(
        session=convert.session(model.session, model.session.id), tokens=convert.tokens(model.tokens)
    )


def _proof(violations: Violations, request: Proving) -> FactorProof:
    match request.WhichOneof("proof"):
        case "totp_code":
            return FactorProof(kind=SecondFactor.TOTP, text=_digits(violations, request.totp_code))
        case "recovery_code":
            text = violations.text(
                "recovery_code", request.recovery_code, shortest=1, longest=recovery_codes.MAX_LENGTH
            )
            return FactorProof(kind=SecondFactor.RECOVERY_CODE, text=text)
        case "passkey_credential_json":
            text = violations.text(
                "passkey_credential_json",
                request.passkey_credential_json,
                shortest=1,
                longest=ceremonies.MAX_CREDENTIAL,
            )
            return FactorProof(kind=SecondFactor.PASSKEY, text=text)
        case _:
            violations.add("proof", "must be set")
            return FactorProof(kind=SecondFactor.RECOVERY_CODE, text="")


def _digits(violations: Violations, text: str) -> str:
    digits = text.replace(" ", "")
    if not _DIGITS.fullmatch(digits):
        violations.add("totp_code", _WRONG_CODE)
    return digits
