"""The operations port: `/metrics` for Prometheus, `/healthz` (the process lives), `/readyz` (it can serve), by HTTP."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, make_wsgi_app
from prometheus_client.exposition import start_wsgi_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(slots=True)
class Readiness:
    """How the dependencies stand, as the health monitor last saw them."""

    dependencies: dict[str, bool] = field(default_factory=dict)
    serving: bool = False


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
            status = "200 OK" if readiness.serving else "503 Service Unavailable"
            return _answer(start_response, status, {"serving": readiness.serving, "dependencies": states})
        return _answer(start_response, "404 Not Found", {"pages": ["/metrics", "/healthz", "/readyz"]})

    return serve


@contextlib.contextmanager
def listening(host: str, port: int, readiness: Readiness) -> Iterator[int]:
    """Serve the pages from a thread of their own, so that they answer while the loop is busy; yields the port."""
    server, thread = start_wsgi_server(port, host)
    server.set_app(application(readiness))
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(start_response: "StartResponse", status: str, body: object) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
