"""What answers in a local stack, and the one sentence where nothing does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared import local_model
from tools import settings
from tools.folder import DataFolder
from tools.provider import Provider

SETTINGS = settings.read({})


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    made = DataFolder(tmp_path)
    with made.locked():
        yield made


def test_without_the_packages_it_is_a_sentence_and_the_start_goes_on(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_model, "_PACKAGES", ("a_package_that_is_not_there",))
    provider = Provider(SETTINGS, folder, wanted=True)
    provider.begin()
    assert provider.await_ready() is None
    assert (provider.model, provider.environment()) == ("", {})
    assert "set CHAT_PROVIDER_URL" in capsys.readouterr().out


def test_a_stack_that_asks_no_model_has_none(folder: DataFolder) -> None:
    for provider in (
        Provider(SETTINGS, folder, wanted=False),
        Provider(replace(SETTINGS, local_model=False), folder, wanted=True),
    ):
        provider.begin()
        assert provider.await_ready() is None
        assert (provider.model, provider.environment()) == ("", {})
