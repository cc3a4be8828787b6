import logging
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from structlog.typing import EventDict

from shared import redis_link
from shared.embedded import free_port, scratch_folder
from shared.local_model import LocalModel
from tests.authtest import Auth, auth_config, running_auth
from tests.servers import Servers, TestDatabase, fresh_database, running_servers

# Not every platform has the packages of the local model: its tests are not there either then, and the report says so.
collect_ignore = [] if LocalModel.available() else ["shared/test_local_model.py", "system/test_local_model.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if collect_ignore:
        terminalreporter.write_line("The local model is not installed: its tests are left out.")


# Without a word about it, each connection to Postgres would first make a TLS context, to be told that there is no TLS.
os.environ["PGSSLMODE"] = "disable"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no core is idle at the end."""
    items.sort(key=lambda item: "system" not in item.path.parts)


@pytest.fixture(autouse=True, scope="session")
def quiet_logs() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    """Every line that is logged."""
    quiet = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with structlog.testing.capture_logs() as captured:
        yield captured
    structlog.configure(wrapper_class=quiet)


@pytest.fixture
def patient_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, an answer of Redis is waited for: no replica begins to count by itself."""
    monkeypatch.setattr(redis_link, "EXCHANGE_SECONDS", 10.0)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with running_servers() as running:
        yield running


@pytest.fixture(scope="session")
def local_model() -> Iterator[LocalModel]:
    """The small model, once for all tests of a process that ask for it."""
    with scratch_folder() as folder:
        model = LocalModel(folder, free_port(), key="a-key-of-the-model")
        model.start()
        yield model
        model.stop()


@pytest.fixture
async def auth_database(servers: Servers) -> AsyncIterator[TestDatabase]:
    async with fresh_database(servers, "auth") as database:
        yield database


@pytest.fixture
async def auth(servers: Servers, auth_database: TestDatabase) -> AsyncIterator[Auth]:
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url)) as running:
        yield running
