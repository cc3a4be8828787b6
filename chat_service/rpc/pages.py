"""Where a list goes on: what a page was asked for, and the token that the next one begins with."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from chat_service.models import Page
from shared import paging
from shared.errors import InvalidFields
from shared.paging import DEFAULT_PAGE_SIZE, Cursor, PageTokens
from shared.validation import Violations

T = TypeVar("T")


class Paged(Protocol):
    """A request for a page."""

    @property
    def page_size(self) -> int:
        """How many at most."""

    @property
    def page_token(self) -> str:
        """Where to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a list: so many items after the cursor. The scope is all that the next page must ask for again."""

    size: int
    cursor: Cursor | None
    scope: Cursor
    tokens: PageTokens

    def next_token(self, page: Page[T], cursor: Callable[[T], Cursor]) -> str:
        """The token of the page after this one; empty where the list ends."""
        return self.tokens.write(self.scope, cursor(page.items[-1])) if page.more else ""

    def token_at(self, cursor: Cursor | None) -> str:
        """The token of a page that begins after a cursor; empty where the list ends."""
        return self.tokens.write(self.scope, cursor) if cursor else ""

    @property
    def after_id(self) -> UUID | None:
        """The cursor of a list that goes on after an id."""
        return UUID(str(self.cursor[0])) if self.cursor else None

    @property
    def after_number(self) -> int | None:
        """The cursor of a list that goes on after a number."""
        return int(self.cursor[0]) if self.cursor else None

    @property
    def after_time(self) -> tuple[datetime, UUID] | None:
        """The cursor of a list that goes on after a time and an id."""
        return (datetime.fromisoformat(str(self.cursor[0])), UUID(str(self.cursor[1]))) if self.cursor else None


class Pages:
    """Reads where a page begins; one for every list of the service."""

    def __init__(self, tokens: PageTokens) -> None:
        """Sign the tokens with this key."""
        self._tokens = tokens

    def read(self, violations: Violations, request: Paged, *scope: object) -> Place:
        """The place that a request asks for; `scope` begins with the list and the user."""
        size, cursor = DEFAULT_PAGE_SIZE, None
        named = tuple(str(part) for part in scope)
        with _noted(violations):
            size = paging.page_size(request.page_size)
        with _noted(violations):
            cursor = self._tokens.read(named, request.page_token)
        return Place(size=size, cursor=cursor, scope=named, tokens=self._tokens)


@contextlib.contextmanager
def _noted(violations: Violations) -> Iterator[None]:
    try:
        yield
    except InvalidFields as error:
        for found in error.violations:
            violations.add(found.field, found.description)
