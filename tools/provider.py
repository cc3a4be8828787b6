"""What answers in a local stack: the provider of the environment, else the small model on this machine, else nobody."""

import os

from shared.local_model import LocalModel
from shared.processes import ProcessError
from tools.folder import DataFolder
from tools.settings import Settings
from tools.ui import say

_ADVICE = "Generate needs a provider: set CHAT_PROVIDER_URL, as the README says. Everything else works."


class Provider:
    """The model that chat is told of. A local one that cannot run costs a sentence, not the start."""

    def __init__(self, settings: Settings, folder: DataFolder, *, wanted: bool) -> None:
        """Choose it; wanted=False is for a stack that asks no model, and has no local one."""
        self._local: LocalModel | None = None
        self._key = folder.secret("model-key")
        self._missing = False
        self._own = settings.servers.provider_url is not None
        if wanted and settings.local_model and not self._own:
            if LocalModel.available():
                self._local = LocalModel(folder.path / "model", folder.port("model"), key=self._key)
            else:
                self._missing = True

    @property
    def model(self) -> str:
        """The name of the model that answers; empty where none does."""
        if self._own:
            return os.environ.get("CHAT_PROVIDER_MODEL", "")
        return self._local.name if self._local is not None else ""

    def environment(self) -> dict[str, str]:
        """What chat is told of it."""
        if self._local is None:
            key = os.environ.get("CHAT_PROVIDER_API_KEY")
            return {"CHAT_PROVIDER_API_KEY": key} if key else {}
        return {
            "CHAT_PROVIDER_URL": self._local.url,
            "CHAT_PROVIDER_API_KEY": self._key,
            "CHAT_PROVIDER_MODEL": self._local.name,
        }

    def begin(self) -> None:
        """Start a local one, and do not wait for it: it loads while the rest starts."""
        if self._missing:
            say(f"  The local model is not installed, or there is none for this platform. {_ADVICE}")
        if self._local is not None:
            self._local.begin()

    def await_ready(self) -> LocalModel | None:
        """Wait for a local one to answer; None where there is none, or it does not start."""
        if self._local is None:
            return None
        try:
            self._local.start()
        except ProcessError as error:
            say(f"  {error}\n  {_ADVICE}")
            self._local = None
        return self._local

    def stop(self) -> None:
        """Stop a local one."""
        if self._local is not None:
            self._local.stop()
