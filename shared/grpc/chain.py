"""Interceptors for all four kinds of call. Each is a function of the call and of what comes next, in one ordered list.

async def interceptor(call: Call, proceed: Proceed) -> None:
    ...
    await proceed()
    ...
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

import grpc
from grpc.aio import ServerInterceptor, ServicerContext

from shared import calls, clock, ids
from shared.calls import Call
from shared.proxies import TrustedProxies

Context = ServicerContext[Any, Any]
Proceed = Callable[[], Awaitable[None]]
Interceptor = Callable[["ServedCall", Proceed], Awaitable[None]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its stub alone

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")  # gRPC lets any byte pass in a header's value, NUL and line ends too


class ServedCall:
    """A call together with its gRPC context, for the interceptors alone."""

    __slots__ = ("call", "context", "metadata")

    def __init__(self, method: str, context: Context, proxies: TrustedProxies) -> None:
        """Read what the caller sent along; its request id is kept where it is a sane one."""
        self.context = context
        self.metadata = dict(cast("Sequence[tuple[str, str | bytes]]", context.invocation_metadata() or ()))
        remaining = context.time_remaining()
        asked = self.text("x-request-id")
        self.call = Call(
            method=method,
            request_id=asked if asked and _REQUEST_ID.fullmatch(asked) else ids.new_text(),
            address=proxies.caller(_host(context.peer()), self.text("x-forwarded-for")),
            user_agent=_UNPRINTABLE.sub("?", self.text("user-agent")),
            deadline=None if remaining is None else clock.monotonic() + remaining,
        )

    def text(self, name: str) -> str:
        """A metadata value as text; empty where it is absent."""
        value = self.metadata.get(name, "")
        return value if isinstance(value, str) else ""


class Chain(ServerInterceptor):
    """Wraps each handler once, at its first call, in every interceptor of the list."""

    def __init__(self, interceptors: Sequence[Interceptor], proxies: TrustedProxies) -> None:
        """The first of the list is the outermost; the proxies are believed on whom they call for."""
        self._interceptors, self._proxies = tuple(interceptors), proxies
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """The wrapped handler of a method; an unknown method has none, and is answered UNIMPLEMENTED."""
        method = str(handler_call_details.method)
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        behaviour = _behaviour(handler)

        async def serve(request: Any, context: Context) -> Any:
            served = ServedCall(method, context, self._proxies)
            calls.current.set(served.call)
            response = None

            async def innermost() -> None:
                nonlocal response
                answer = behaviour(request, context)
                if isinstance(answer, AsyncIterable):
                    await _pass_on(answer, context)
                else:
                    response = await answer

            proceed: Proceed = innermost
            for interceptor in reversed(self._interceptors):
                proceed = _bind(interceptor, served, proceed)
            if handler.response_streaming:
                await proceed()
                return None
            calls.load.in_flight += 1
            try:
                await proceed()
            finally:
                calls.load.in_flight -= 1
            return response

        make = _MAKERS[handler.request_streaming, handler.response_streaming]
        return make(serve, handler.request_deserializer, handler.response_serializer)


async def _pass_on(answer: AsyncIterable[Any], context: Context) -> None:
    """Send what a generator gives; it ends with the call, also where the caller leaves between two messages."""
    try:
        async for message in answer:
            await context.write(message)
    finally:
        if isinstance(answer, AsyncGenerator):
            await answer.aclose()


def _bind(interceptor: Interceptor, served: ServedCall, proceed: Proceed) -> Proceed:
    return lambda: interceptor(served, proceed)


_MAKERS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _behaviour(handler: Handler) -> Callable[[Any, Context], Any]:
    kinds = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    return cast("Callable[[Any, Context], Any]", next(kind for kind in kinds if kind is not None))


@lru_cache(maxsize=10_000)
def _host(peer: str) -> str:
    """The address in gRPC's `ipv4:127.0.0.1:50051` or `ipv6:[::1]:50051`; empty for a unix socket."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
