"""What is exported of an account, and who was erased, as messages."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from auth_service.account_export import Record
from auth_service.models import (
    AuditEvent,
    ErasedUser,
    ImportOrigin,
    MachineCredential,
    Passkey,
    SecondFactors,
    Session,
    User,
)
from auth_service.rpc import administration, api_keys, convert, factors, passkeys
from protos.auth.v1 import account_export_pb2 as pb
from protos.auth.v1 import erasures_pb2
from shared.grpc.values import timestamp
from shared.ids import text_of
from shared.validation import Violations

MAX_ERASED: Final = 500


def record(model: Record, current: UUID) -> pb.ExportAccountResponse:
    """A record of the user whose present session this is."""
    if isinstance(model, Session):
        return pb.ExportAccountResponse(session=convert.session(model, current))
    return _RENDER[type(model)](model)


def erased_after(request: erasures_pb2.PullErasedUsersRequest) -> tuple[datetime | None, int]:
    """The moment to go on after, and how many at most."""
    violations = Violations()
    given = request.HasField("after_time")
    after = administration.moment(violations, "after_time", request.after_time) if given else None
    if request.max_count < 0:
        violations.add("max_count", "must not be negative")
    violations.done()
    return after, min(request.max_count or MAX_ERASED, MAX_ERASED)


def erased_user(model: ErasedUser) -> erasures_pb2.ErasedUser:
    """A user who is no more."""
    return erasures_pb2.ErasedUser(user_id=text_of(model.user_id), erase_time=timestamp(model.erase_time))


def _origin(model: ImportOrigin) -> pb.ImportOrigin:
    return pb.ImportOrigin(source=model.source, external_id=model.external_id, create_time=timestamp(model.create_time))


_RENDER: Final[dict[type, Callable[[Any], pb.ExportAccountResponse]]] = {
    User: lambda model: pb.ExportAccountResponse(user=convert.user(model)),
    SecondFactors: lambda model: pb.ExportAccountResponse(second_factors=factors.second_factors(model)),
    ImportOrigin: lambda model: pb.ExportAccountResponse(import_origin=_origin(model)),
    Passkey: lambda model: pb.ExportAccountResponse(passkey=passkeys.passkey(model)),
    MachineCredential: lambda model: pb.ExportAccountResponse(api_key=api_keys.api_key(model)),
    AuditEvent: lambda model: pb.ExportAccountResponse(event=administration.event(model)),
}
