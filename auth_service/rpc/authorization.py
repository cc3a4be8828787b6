"""envoy.service.auth.v3.Authorization: gateways ask whose the bearer token of a request is, and pass the answer on.

The headers below tell it to who stands behind the gateway. Each is either set here or taken away: what a caller sends
under such a name never arrives.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import attribute_context_pb2, external_auth_pb2_grpc
from envoy.service.auth.v3 import external_auth_pb2 as pb
from envoy.type.v3 import http_status_pb2
from google.protobuf import json_format
from google.rpc import status_pb2
from grpc.aio import ServicerContext

from auth_service.verification import TokenVerifier
from shared import calls
from shared.calls import Principal
from shared.errors import ServiceError, Unauthenticated, Unavailable
from shared.grpc.access import bearer_token
from shared.grpc.errors import status_of
from shared.ids import text_of

IDENTITY_HEADERS: Final = (
    "x-user-id",
    "x-session-id",
    "x-session-kind",
    "x-roles",
    "x-scopes",
    "x-assurance-level",
    "x-actor-id",
)
# A gateway names in the `context_extensions` of a route for whom the token has to be; otherwise it has to be for auth.
_AUDIENCE: Final = "audience"
_RETRY_SECONDS: Final = 1.0

Context = ServicerContext[Any, Any]


class Authorization(external_auth_pb2_grpc.AuthorizationServicer):  # type: ignore[misc]  # the package has no types
    """Says who is calling, or what to answer instead."""

    def __init__(self, verifier: TokenVerifier, open_paths: frozenset[str], domain: str) -> None:
        """Let the open paths pass without a token, exactly as they are written; any other spelling needs one."""
        self._verifier, self._open_paths, self._domain = verifier, open_paths, domain

    async def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        http = request.attributes.request.http
        if http.path in self._open_paths:
            return _admitted({})
        try:
            return _admitted(_identity(await self._caller(request.attributes)))
        except ServiceError as error:  # here a refusal is the answer, not a failure
            return self._denied(error, http.headers)

    async def _caller(self, attributes: attribute_context_pb2.AttributeContext) -> Principal:
        token = bearer_token(attributes.request.http.headers.get("authorization", ""))
        caller = await self._verifier.verify(token, attributes.context_extensions.get(_AUDIENCE, ""))
        calls.remark(principal=caller)
        return caller

    def _denied(self, error: ServiceError, headers: Mapping[str, str]) -> pb.CheckResponse:
        refusal = error if isinstance(error, Unauthenticated) else Unavailable(retry_after=_RETRY_SECONDS)
        calls.remark(reason=error.reason)
        status = status_of(refusal, self._domain)
        return pb.CheckResponse(
            status=status_pb2.Status(code=status.code),
            denied_response=_for_grpc(refusal, status) if _is_grpc(headers) else _for_http(refusal, status),
        )


def _identity(caller: Principal) -> dict[str, str]:
    values = {
        "x-user-id": text_of(caller.user_id),
        "x-session-id": text_of(caller.session_id),
        "x-session-kind": caller.kind.value,
        "x-roles": ",".join(caller.roles),
        "x-scopes": ",".join(caller.scopes),
        "x-assurance-level": str(caller.assurance),
        "x-actor-id": text_of(caller.actor_id) if caller.actor_id else "",
    }
    return {name: value for name, value in values.items() if value}


def _admitted(identity: Mapping[str, str]) -> pb.CheckResponse:
    absent = [name for name in IDENTITY_HEADERS if name not in identity]
    admitted = pb.OkHttpResponse(headers=_headers(identity), headers_to_remove=absent)
    return pb.CheckResponse(status=status_pb2.Status(), ok_response=admitted)


def _is_grpc(headers: Mapping[str, str]) -> bool:
    """Whether the request is plain gRPC; gRPC-Web has a content type of its own, and errors over HTTP."""
    kind = headers.get("content-type", "").partition(";")[0]
    return kind == "application/grpc" or kind.startswith("application/grpc+")


def _for_grpc(refusal: ServiceError, status: status_pb2.Status) -> pb.DeniedHttpResponse:
    """The gateway makes grpc-status of the HTTP status and grpc-message of the body; the details we send ourselves."""
    details = base64.b64encode(status.SerializeToString()).decode().rstrip("=")
    return _denial(refusal, status.message, {"grpc-status-details-bin": details})


def _for_http(refusal: ServiceError, status: status_pb2.Status) -> pb.DeniedHttpResponse:
    return _denial(refusal, json_format.MessageToJson(status, indent=None), {"content-type": "application/json"})


def _denial(refusal: ServiceError, body: str, headers: Mapping[str, str]) -> pb.DeniedHttpResponse:
    if isinstance(refusal, Unauthenticated):
        code, more = http_status_pb2.Unauthorized, {"www-authenticate": _challenge(refusal)}
    else:
        code, more = http_status_pb2.ServiceUnavailable, {"retry-after": f"{_RETRY_SECONDS:.0f}"}
    return pb.DeniedHttpResponse(
        status=http_status_pb2.HttpStatus(code=code), headers=_headers({**headers, **more}), body=body
    )


def _challenge(refusal: Unauthenticated) -> str:
    """RFC 6750 section 3: a request without a token is told no error."""
    reason = refusal.facts.get("inactive_reason")
    return 'Bearer realm="parley"' + (f', error="invalid_token", error_description="{reason}"' if reason else "")


def _headers(values: Mapping[str, str]) -> list[base_pb2.HeaderValueOption]:
    overwrite = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    return [
        base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value), append_action=overwrite)
        for name, value in values.items()
    ]
