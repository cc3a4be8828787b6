"""The failures that are auth's own; `protos/auth/v1/errors.proto` tells callers what to do about each."""

from shared.errors import Code, ServiceError


class EmailTaken(ServiceError):
    """An account with this email already exists: log in instead."""

    code = Code.ALREADY_EXISTS


class InvalidCredentials(ServiceError):
    """The email or the password is wrong."""

    code = Code.UNAUTHENTICATED


class RefreshTokenInvalid(ServiceError):
    """The refresh token is not good, or no longer: log in again."""

    code = Code.UNAUTHENTICATED


class RefreshTokenReused(ServiceError):
    """The refresh token was used before, so it may be stolen, and its session was ended: log in again."""

    code = Code.UNAUTHENTICATED


class SessionNotFound(ServiceError):
    """There is no such session."""

    code = Code.NOT_FOUND


class UserNotFound(ServiceError):
    """There is no such user."""

    code = Code.NOT_FOUND


class ApiKeyNotFound(ServiceError):
    """There is no such API key."""

    code = Code.NOT_FOUND


class ApiKeyEnded(ServiceError):
    """The API key has ended: make a new one."""

    code = Code.FAILED_PRECONDITION


class TooManyCredentials(ServiceError):
    """There are as many credentials as there may be: end one first."""

    code = Code.FAILED_PRECONDITION


class InvalidClient(ServiceError):
    """The client id and the client secret do not belong together, or are good no longer."""

    code = Code.UNAUTHENTICATED


class SubjectTokenInvalid(ServiceError):
    """The subject token is not a good access token of a person."""

    code = Code.INVALID_ARGUMENT


class AudienceNotAllowed(ServiceError):
    """The service account may have no token for this audience."""

    code = Code.PERMISSION_DENIED


class ScopeNotAllowed(ServiceError):
    """This scope cannot be given here."""

    code = Code.PERMISSION_DENIED


class ServiceAccountNotFound(ServiceError):
    """There is no such service account."""

    code = Code.NOT_FOUND


class ClientSecretNotFound(ServiceError):
    """The service account has no such client secret."""

    code = Code.NOT_FOUND


class WatcherTooSlow(ServiceError):
    """The stream was read too slowly to be kept up to date: begin it anew."""

    code = Code.RESOURCE_EXHAUSTED


class OwnAccount(ServiceError):
    """Administrators do not suspend their own account."""

    code = Code.FAILED_PRECONDITION


class UserDeleted(ServiceError):
    """The account has been deleted by its owner."""

    code = Code.FAILED_PRECONDITION


class OneTimeCodeInvalid(ServiceError):
    """The link or code is wrong, used or too old: ask for a new one."""

    code = Code.UNAUTHENTICATED


class ChallengeInvalid(ServiceError):
    """The log-in was not completed in time, or was completed before: log in again."""

    code = Code.UNAUTHENTICATED


class SecondFactorInvalid(ServiceError):
    """The code or the passkey is not the right one."""

    code = Code.UNAUTHENTICATED


class SecondFactorRequired(ServiceError):
    """This account has a second factor: prove that one, too."""

    code = Code.FAILED_PRECONDITION


class SecondFactorNotFound(ServiceError):
    """There is no such second factor, or its enrolment has expired: enrol first."""

    code = Code.FAILED_PRECONDITION


class PasskeyInvalid(ServiceError):
    """This passkey cannot be used to log in: begin again, or log in another way."""

    code = Code.UNAUTHENTICATED


class PasskeyNotRegistered(ServiceError):
    """The authenticator's answer cannot be accepted: begin again."""

    code = Code.FAILED_PRECONDITION


class PasskeyTaken(ServiceError):
    """This passkey is registered already."""

    code = Code.ALREADY_EXISTS


class TooManyPasskeys(ServiceError):
    """The account has as many passkeys as it can have: delete one first."""

    code = Code.FAILED_PRECONDITION


class PasskeyNotFound(ServiceError):
    """There is no such passkey."""

    code = Code.NOT_FOUND
