"""The failures a caller may meet. Each knows its status, its reason and what to tell; `shared/grpc/errors.py` sends it.

The docstring is the message. A reason is the class's name in capitals, and stands in the service's `errors.proto`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """The canonical status codes that Parley answers with (google.rpc.Code)."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"


class ServiceError(Exception):
    """Something went wrong on our side."""

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"

    def __init_subclass__(cls) -> None:
        """Name the reason after the class: EmailTaken is EMAIL_TAKEN."""
        cls.reason = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(self, *, retry_after: float | None = None, **facts: object) -> None:
        """Keep the facts for the caller; retry_after is in seconds."""
        self.facts = {name: str(value) for name, value in facts.items()}
        self.retry_after = retry_after
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The sentence for the caller: the first line of the docstring."""
        return (type(self).__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field, by its path in the request."""

    field: str
    description: str


# A status travels in trailers, of which a stock client accepts 8 KiB.
_MOST_TOLD = 50
_MOST_IN_MESSAGE = 10


class InvalidFields(ServiceError):
    """Some fields of the request are not valid."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, violations: Iterable[FieldViolation]) -> None:
        """Carry every violation at once, as far as a caller can be told."""
        self.violations = tuple(violations)[:_MOST_TOLD]
        super().__init__()

    @property
    def message(self) -> str:
        """The fields by name, so that the status alone says what to mend."""
        told = (f"{violation.field}: {violation.description}" for violation in self.violations[:_MOST_IN_MESSAGE])
        return "; ".join([*told, *(["and more"] if len(self.violations) > _MOST_IN_MESSAGE else [])])


class Unauthenticated(ServiceError):
    """A valid access token is required: send it as `authorization: Bearer <token>`."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(ServiceError):
    """The caller may not use this method."""

    code = Code.PERMISSION_DENIED


class StepUpRequired(ServiceError):
    """This needs a sign-in of the last minutes: prove again who you are, then repeat the call."""

    code = Code.PERMISSION_DENIED


class EtagMismatch(ServiceError):
    """The resource has changed since it was read: read it again and repeat the change."""

    code = Code.ABORTED


class RequestIdReused(ServiceError):
    """This request_id was used before with other content."""

    code = Code.ALREADY_EXISTS


class RateLimited(ServiceError):
    """Too many attempts: wait and try again."""

    code = Code.RESOURCE_EXHAUSTED


class Overloaded(ServiceError):
    """The service is at its limit and did not start this call: try again later."""

    code = Code.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """The service cannot reach what it needs: try again."""

    code = Code.UNAVAILABLE


class Conflict(ServiceError):
    """Another change was in the way: try again."""

    code = Code.ABORTED


class DeadlineExceeded(ServiceError):
    """The call's deadline passed; a change may or may not have been made."""

    code = Code.DEADLINE_EXCEEDED
