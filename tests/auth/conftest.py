import pytest

from tests.auth.factors import Owner, Watch, with_app
from tests.authtest import Auth


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


@pytest.fixture
async def owner(auth: Auth, watch: Watch) -> Owner:
    return await with_app(auth, watch)
