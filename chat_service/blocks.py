"""The named blocks of code in an answer, which become components.

A block is fenced as in Markdown (CommonMark section 4.5) and has a name behind its language:

    ```tsx src/App.tsx      ```tsx name=src/App.tsx      ```tsx title="The app"

One without a name is a part of the answer like any other, and so is one that was not closed: it was cut off.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MAX_BLOCKS: Final = 32
_MAX_NAME: Final = 200
_MAX_LANGUAGE: Final = 90
_OPEN: Final = re.compile(r"( {0,3})(`{3,}|~{3,})[ \t]*([^\n]*)")
_CLOSE: Final = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
_NAMED: Final = re.compile(r"""(?:^|\s)(?:name|title|file|filename|path)=(?:"([^"]*)"|'([^']*)'|(\S+))""")
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9+#._-]+")
_PATH: Final = re.compile(r"[^\s={}\"'`]*[./][^\s={}\"'`]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A named block; its type is such as `text/tsx`."""

    name: str
    type: str
    content: str = field(repr=False)


def find(text: str) -> list[Block]:
    """The named blocks of a text in their order; of several with one name the last."""
    named = {block.name: block for block in _blocks(text)}
    return list(named.values())[:MAX_BLOCKS]


def _blocks(text: str) -> Iterator[Block]:
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for line in lines:
        opened = _OPEN.fullmatch(line)
        if opened is None or (opened[2][0] == "`" and "`" in opened[3]):
            continue
        content = _until_closed(lines, opened[2], len(opened[1]))
        name, language = _read(opened[3].strip())
        if name and content is not None:
            yield Block(name=name, type=f"text/{language}", content=content)


def _until_closed(lines: Iterator[str], fence: str, indent: int) -> str | None:
    content: list[str] = []
    for line in lines:
        closed = _CLOSE.fullmatch(line)
        if closed is not None and closed[1][0] == fence[0] and len(closed[1]) >= len(fence):
            return "".join(f"{one}\n" for one in content)
        content.append(line[min(indent, len(line) - len(line.lstrip(" "))) :])
    return None


def _read(info: str) -> tuple[str, str]:
    """The name, empty where there is none, and the language of what stands behind a fence."""
    language, _, rest = info.partition(" ")
    found = _NAMED.search(info)
    name = next((group for group in found.groups() if group), "") if found else _path(rest.strip())
    plain = language if _LANGUAGE.fullmatch(language) else "plain"
    return name.strip() if len(name) <= _MAX_NAME and name.isprintable() else "", plain.lower()[:_MAX_LANGUAGE]


def _path(rest: str) -> str:
    first = rest.partition(" ")[0]
    return first if _PATH.fullmatch(first) else ""
