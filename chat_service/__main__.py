"""`python -m chat_service serve` and `python -m chat_service migrate`."""

import gc
import os
from pathlib import Path

gc.disable()  # nothing of what is imported is garbage, and to look for it takes a tenth of the start
# The classic listener and client spare a call 15 % of its CPU (measured with grpcio 1.85.1, which is pinned). The
# setting is not documented, and gRPC reads it when it is imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_client,-event_engine_callback_cq")

from chat_service import server
from chat_service.config import ChatConfig
from shared.grpc import process

gc.enable()

if __name__ == "__main__":
    process.main("chat_service", ChatConfig, server.build, Path(__file__).parent / "migrations")
