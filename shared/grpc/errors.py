"""The one place where a failure becomes a gRPC status, with details that a program can read (google.rpc)."""

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc.aio import AbortError
from grpc_status import rpc_status

from shared.errors import InvalidFields, ServiceError
from shared.grpc.chain import Proceed, ServedCall

log = structlog.get_logger()


class MapErrors:
    """The interceptor that answers with a status; what is not ours to tell becomes INTERNAL, and goes to the log."""

    def __init__(self, domain: str) -> None:
        """`domain` is the ErrorInfo domain of this service: auth.parley or chat.parley."""
        self._domain = domain

    async def __call__(self, served: ServedCall, proceed: Proceed) -> None:
        """Let the call proceed, and answer its failure."""
        try:
            await proceed()
        except ServiceError as error:
            await self._abort(served, error)
        except AbortError:
            served.call.code = "ABORTED"
            raise
        except Exception as error:
            log.error(  # noqa: TRY400 - the traceback goes along, less what it must not tell
                "unexpected failure", method=served.call.method, error=type(error).__name__, exc_info=_bare(error)
            )
            await self._abort(served, ServiceError(request_id=served.call.request_id))

    async def _abort(self, served: ServedCall, error: ServiceError) -> None:
        served.call.code, served.call.reason = error.code.value, error.reason
        trailers = [("x-request-id", served.call.request_id)]
        if error.retry_after is not None:
            trailers.append(("grpc-retry-pushback-ms", str(int(error.retry_after * 1000))))
        status = rpc_status.to_status(status_of(error, self._domain))
        # abort_with_status would send the status's own trailers alone.
        await served.context.abort(status.code, status.details, (*status.trailing_metadata, *trailers))


def status_of(error: ServiceError, domain: str) -> status_pb2.Status:
    """What a caller is told of a failure."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.facts)]
    if isinstance(error, InvalidFields):
        details.append(_bad_request(error))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code.value), message=error.message, details=[_pack(d) for d in details]
    )


def code_of(error: grpc.aio.AioRpcError) -> str:
    """The name of the status code that another service answered with."""
    return str(error.code().name)


def _bad_request(error: InvalidFields) -> error_details_pb2.BadRequest:
    violation = error_details_pb2.BadRequest.FieldViolation
    return error_details_pb2.BadRequest(
        field_violations=[violation(field=v.field, description=v.description) for v in error.violations]
    )


def _pack(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _bare(error: Exception) -> bool | Exception:
    """The error for the log's traceback, without what a driver adds of the row's values to its text."""
    if hasattr(error, "sqlstate"):
        error.args = (f"SQLSTATE {error.sqlstate}",)
        for part in ("detail", "hint", "query", "internal_query"):
            if getattr(error, part, None):
                setattr(error, part, None)
    return error
