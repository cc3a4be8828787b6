"""What an answer costs: a price list with versions, ours (`prices.json`) or the operator's.

A dollar per million tokens is a millionth of a dollar per token, so a price times a number of tokens is the cost in
micros. It is rounded once, to the nearest whole micro and a half up.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Self

import msgspec

from chat_service.models import Usage

_OURS = Path(__file__).with_name("prices.json")
_MOST_VERSION_CHARACTERS = 64  # as the wire has it
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class _Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dollars per million tokens, for prompts of up to so many tokens; None is for all that are longer."""

    input: Decimal
    cached_input: Decimal
    output: Decimal
    up_to_input_tokens: int | None = None

    def cost(self, usage: Usage) -> int:
        """What the provider had in its cache is a part of the input, and what the model thought of the output."""
        fresh = max(0, usage.input_tokens - usage.cached_input_tokens)
        exact = fresh * self.input + usage.cached_input_tokens * self.cached_input + usage.output_tokens * self.output
        return int(exact.to_integral_value(ROUND_HALF_UP))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    versions: dict[str, dict[str, list[_Band]]]
    about: str = ""
    sources: list[str] = []


class Prices:
    """A price list: by version, then by model."""

    def __init__(self, versions: Mapping[str, Mapping[str, list[_Band]]]) -> None:
        """Take versions whose names sort by their age, such as dates."""
        self._versions = versions
        self.newest = max(versions)

    @classmethod
    def read(cls, path: Path | None = None) -> Self:
        """Read a file, by default ours; ValueError says in a sentence what is wrong with it."""
        try:
            file = msgspec.json.decode((path or _OURS).read_bytes(), type=_File)
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path} is no price list: {error}") from None
        _check(file)
        return cls(file.versions)

    def priced(self, model: str, usage: Usage, version: str | None = None) -> Usage:
        """The usage with its cost, by the newest version or that one.

        A model that the list does not have, or a prompt longer than it knows, costs nothing by no version.
        """
        chosen = self.newest if version is None else version
        bands = self._bands(chosen, model)
        for band in bands:
            if band.up_to_input_tokens is None or usage.input_tokens <= band.up_to_input_tokens:
                return replace(usage, cost_micros=band.cost(usage), price_version=chosen)
        return replace(usage, cost_micros=0, price_version="")

    def _bands(self, version: str, model: str) -> list[_Band]:
        models = self._versions.get(version, {})
        bare = model.rpartition("/")[2]
        # A gateway puts the provider before the name, and a provider the day of the model behind it.
        names = (model, bare, _DATE.sub("", bare))
        return next((models[name] for name in names if name in models), [])


def _check(file: _File) -> None:
    if not file.versions:
        raise ValueError("a price list needs at least one version")
    for version, models in file.versions.items():
        if not 1 <= len(version) <= _MOST_VERSION_CHARACTERS:
            raise ValueError(f"the version {version!r} has no name of 1 to {_MOST_VERSION_CHARACTERS} characters")
        for model, bands in models.items():
            _check_bands(f"{model} of version {version}", bands)


def _check_bands(name: str, bands: list[_Band]) -> None:
    if not bands:
        raise ValueError(f"{name} has no price")
    if not all(price.is_finite() and price >= 0 for it in bands for price in (it.input, it.cached_input, it.output)):
        raise ValueError(f"{name} has a price that is not a number from 0 up")
    limits = [float("inf") if band.up_to_input_tokens is None else band.up_to_input_tokens for band in bands]
    if limits[0] <= 0 or any(lower >= higher for lower, higher in pairwise(limits)):
        raise ValueError(f"{name} has bands that do not go from short prompts to long ones")
