"""The local model's program: `python -m shared.model_server PORT`, with its other settings as JSON on its input."""

import json
import os
import sys
import time
from typing import Any

_AT_ONCE = 2
_MOST_THREADS = 4
_LOOK_SECONDS = 0.5


def main() -> None:
    """Serve until the process that started this one is gone."""
    told = json.load(sys.stdin)
    server = _server(int(sys.argv[1]), told)
    print("The model answers.", server.listening_address, flush=True)  # noqa: T201 (its log)
    # A parent that is killed ends nobody: who has another parent then has none.
    while os.getppid() == told["parent"]:
        time.sleep(_LOOK_SECONDS)
    # At once: the threads of the server would go on.
    os._exit(0)


def _server(port: int, told: dict[str, Any]) -> Any:
    import xllamacpp  # noqa: PLC0415 (large, and not there on every platform)

    settings = xllamacpp.CommonParams()
    settings.model.path = told["weights"]
    settings.model_alias = {told["name"]}
    settings.api_keys = [told["key"]]
    settings.hostnames, settings.port = ["127.0.0.1"], port
    settings.n_parallel, settings.n_ctx = _AT_ONCE, _AT_ONCE * told["context_tokens"]
    # Half of the cores: the services are here too.
    threads = max(1, min(_MOST_THREADS, (os.cpu_count() or 1) // 2))
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.warmup = settings.ui = settings.endpoint_slots = settings.endpoint_props = False
    settings.offline = True
    settings.cache_ram_mib = 0
    settings.verbosity = 1
    return xllamacpp.Server(settings)


if __name__ == "__main__":
    main()
