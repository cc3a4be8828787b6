"""Every call leaves one log line and one measurement, whatever becomes of it."""

import asyncio
from typing import Final

import structlog
from prometheus_client import Gauge, Histogram

from shared import clock, ids, metrics
from shared.grpc.chain import Proceed, ServedCall

log = structlog.get_logger()

_QUIET: Final = ("/grpc.health.v1.", "/grpc.reflection.")


class Observe:
    """The outermost interceptor: duration, status and who, by method."""

    def __init__(self) -> None:
        """Begin with no bound measures; each method and code binds its own at first use."""
        self._seconds: dict[tuple[str, str], Histogram] = {}
        self._in_flight: dict[str, Gauge] = {}
        self._log = log.bind()

    async def __call__(self, served: ServedCall, proceed: Proceed) -> None:
        """Measure the call and log its end."""
        method = served.call.method
        in_flight = self._in_flight.get(method)
        if in_flight is None:
            in_flight = self._in_flight[method] = metrics.rpc_in_flight.labels(method)
        in_flight.inc()
        try:
            await proceed()
        except asyncio.CancelledError:
            served.call.code = "CANCELLED"
            raise
        finally:
            in_flight.dec()
            self._record(served)

    def _record(self, served: ServedCall) -> None:
        call = served.call
        seconds = clock.monotonic() - call.started
        measure = self._seconds.get((call.method, call.code))
        if measure is None:
            measure = metrics.rpc_seconds.labels(call.method, call.code)
            self._seconds[call.method, call.code] = measure
        measure.observe(seconds)
        if call.method.startswith(_QUIET):
            return
        principal = call.principal
        self._log.info(
            "rpc",
            method=call.method,
            code=call.code,
            reason=call.reason,
            milliseconds=round(seconds * 1000, 3),
            user_id=ids.text_of(principal.user_id) if principal else "",
            session_id=ids.text_of(principal.session_id) if principal else "",
            address=call.address,
        )
