"""What a conversation is called whose user has not named it: the first words of its first exchange."""

from typing import Final

MAX_TITLE: Final = 60
_MORE: Final = "…"


def from_words(text: str) -> str:
    """The first words, on one line; empty where there are none that can be shown."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    words = " ".join(shown.split())
    if len(words) <= MAX_TITLE:
        return words
    whole, _, _ = words[:MAX_TITLE].rpartition(" ")
    return (whole or words[: MAX_TITLE - 1]).rstrip(",;:.-") + _MORE
