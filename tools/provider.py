"""What answers in a local stack: the provider of the environment, else the small model on this machine, else nobody."""

import os

from shared.local_model import LocalModel
from shared.processes import ProcessError
from tools.folder import DataFolder
from tools.settings import Settings
from tools.ui import say

_ADVICE = "Generate needs a provider: set CHAT_PROVIDER_URL, as the README says. Everything else works."
_KEY = "model-key"
_KEYS = ("CHAT_PROVIDER_API_KEY", "CHAT_PROVIDERS")


def environment(model: str, local_url: str, folder: DataFolder) -> dict[str, str]:
    """What chat is told of a local model; of others the keys, which the rest of the environment goes without."""
    if not local_url:
        return {name: os.environ[name] for name in _KEYS if os.environ.get(name)}
    return {
        "CHAT_PROVIDER_URL": local_url,
        "CHAT_PROVIDER_API_KEY": folder.secret(_KEY),
        "CHAT_PROVIDER_MODEL": model,
        "CHAT_PROVIDER_CONTEXT_TOKENS": str(LocalModel.advised_tokens),
    }


class Provider:
    """The model that chat is told of. A local one that cannot run costs a sentence, not the start."""

    def __init__(self, settings: Settings, folder: DataFolder, *, wanted: bool) -> None:
        """Choose it; wanted=False is for a stack that asks no model, and has no local one."""
        self._local: LocalModel | None = None
        self._folder = folder
        self._missing = False
        self._own = settings.servers.provider
        if wanted and settings.local_model and not self._own:
            if LocalModel.available():
                self._local = LocalModel(folder.path / "model", folder.port("model"), key=folder.secret(_KEY))
            else:
                self._missing = True

    @property
    def model(self) -> str:
        """The name of the model that answers; empty where none does."""
        if self._own:
            return os.environ.get("CHAT_PROVIDER_MODEL", "")
        return self._local.name if self._local is not None else ""

    @property
    def local_url(self) -> str:
        """Where a local one answers; empty where there is none."""
        return self._local.url if self._local is not None else ""

    def environment(self) -> dict[str, str]:
        """What chat is told of it."""
        return environment(self.model, self.local_url, self._folder)

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
