"""How a call failed, unpacked: what a client program can see of it."""

from collections.abc import Awaitable
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed call; `seen` is everything that could tell it from another, but for the call's own id."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    facts: dict[str, str]
    violations: dict[str, str]
    retry_seconds: float | None
    trailers: dict[str, str | bytes]

    @property
    def request_id(self) -> str | bytes:
        return self.trailers["x-request-id"]

    @property
    def seen(self) -> tuple[object, ...]:
        trailers = {name: value for name, value in self.trailers.items() if name != "x-request-id"}
        return self.code, self.message, sorted(trailers.items())


async def failure(call: Awaitable[object]) -> Failure:
    """The failure of a call that must fail, of a stream before it gives anything; each of ours carries a reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (call.read() if isinstance(call, grpc.aio.UnaryStreamCall) else call)
    return unpacked(caught.value)


def unpacked(error: grpc.aio.AioRpcError) -> Failure:
    """What an error of ours carries."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error}"
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    parts: list[Message] = [info, bad, retry]
    present = {type(into) for into in parts for detail in status.details if detail.Unpack(into)}
    assert type(info) in present
    fields = [violation.field for violation in bad.field_violations]
    assert len(fields) == len(set(fields)), f"a field is named twice: {fields}"
    return Failure(
        code=error.code(),
        message=status.message,
        reason=info.reason,
        domain=info.domain,
        facts=dict(info.metadata),
        violations={violation.field: violation.description for violation in bad.field_violations},
        retry_seconds=retry.retry_delay.ToNanoseconds() / 1e9 if type(retry) in present else None,
        trailers=dict(error.trailing_metadata() or ()),
    )


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    """The status code of a call that must fail, also where gRPC itself answered."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()
