"""Failures: their reasons, messages and facts."""

import pytest

from auth_service import errors as auth_errors
from protos.auth.v1 import errors_pb2
from shared import errors
from shared.errors import Code, FieldViolation, InvalidFields, RateLimited, ServiceError, Unauthenticated

REASONS = set(errors_pb2.ErrorReason.DESCRIPTOR.values_by_name)
SHARED = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]
OF_AUTH = [kind for kind in vars(auth_errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]


@pytest.mark.parametrize("kind", sorted({*SHARED, *OF_AUTH}, key=lambda kind: kind.__name__))
def test_every_failure_of_auth_is_a_reason_of_its_contract_with_a_sentence(kind: type[ServiceError]) -> None:
    assert f"ERROR_REASON_{kind.reason}" in REASONS
    assert kind.code in Code
    assert (kind.__doc__ or "").partition("\n")[0].endswith(".")


def test_every_reason_of_the_contract_is_one_that_a_caller_can_meet() -> None:
    promised = {name.removeprefix("ERROR_REASON_") for name in REASONS} - {"UNSPECIFIED"}
    assert promised == {kind.reason for kind in (*SHARED, *OF_AUTH)}


def test_a_reason_is_the_name_of_the_class_in_capitals() -> None:
    assert (Unauthenticated.reason, RateLimited.reason, ServiceError.reason) == (
        "UNAUTHENTICATED",
        "RATE_LIMITED",
        "INTERNAL",
    )


def test_facts_are_texts_and_the_message_is_the_first_line_of_the_docstring() -> None:
    failed = RateLimited(retry_after=1.5, limit="log_ins", count=3)
    assert failed.facts == {"limit": "log_ins", "count": "3"}
    assert failed.retry_after == 1.5
    assert str(failed) == failed.message == "Too many attempts: wait and try again."


def test_invalid_fields_name_themselves() -> None:
    failed = InvalidFields([FieldViolation("a", "is wrong"), FieldViolation("b", "is missing")])
    assert failed.message == "a: is wrong; b: is missing"


def test_very_many_invalid_fields_are_told_in_part() -> None:
    failed = InvalidFields(FieldViolation(f"f{number}", "is wrong") for number in range(10_000))
    assert len(failed.violations) == 50
    assert failed.message.endswith("f9: is wrong; and more")
