"""The operations port: `/metrics` for Prometheus, `/healthz` (the process lives), `/readyz` (it can serve), by HTTP."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from shared.config import Unusable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_POLL_SECONDS: Final = 0.05  # how soon the thread sees that it is to end


@dataclass(slots=True)
class Readiness:
    """How the dependencies stand, as the health monitor last saw them."""

    dependencies: dict[str, bool] = field(default_factory=dict)
    serving: bool = False
    draining: bool = False


def application(readiness: Readiness) -> "Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]":
    """The three pages."""
    exposition = make_wsgi_app(REGISTRY)

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            page: Iterable[bytes] = exposition(environ, start_response)
            return page
        if path == "/healthz":
            return _answer(start_response, "200 OK", {"status": "alive"})
        if path == "/readyz":
            states = {name: "up" if up else "down" for name, up in readiness.dependencies.items()}
            serving = readiness.serving and not readiness.draining
            status = "200 OK" if serving else "503 Service Unavailable"
            return _answer(start_response, status, {"serving": serving, "dependencies": states})
        return _answer(start_response, "404 Not Found", {"pages": ["/metrics", "/healthz", "/readyz"]})

    return serve


@contextlib.contextmanager
def listening(host: str, port: int, readiness: Readiness) -> Iterator[int]:
    """Serve the pages from a thread of their own, so that they answer while the loop is busy; yields the port.

    A taken port raises Unusable.
    """
    server = _bind(host, port, readiness)
    thread = Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True, name="ops")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _bind(host: str, port: int, readiness: Readiness) -> WSGIServer:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        kind = type("_Server", (ThreadingWSGIServer,), {"address_family": family})
        return make_server(str(address[0]), port, application(readiness), kind, _Quiet)
    except OSError as error:
        raise Unusable.port("ops_port", host, port, error) from None


class _Quiet(WSGIRequestHandler):
    """Leaves no line on standard error for each scrape."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _answer(start_response: "StartResponse", status: str, body: object) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
