"""The requests for what was used."""

from datetime import date, timedelta
from typing import Final, Protocol

from chat_service.rpc.pages import Paged, Pages, Place
from chat_service.run_models import UsageDays, UsageUsers
from protos.chat.v1 import usage_pb2 as pb
from shared import clock
from shared.calls import Principal
from shared.validation import Violations

MOST_DAYS: Final = 366
USUAL_DAYS: Final = 30


class _Span(Paged, Protocol):
    @property
    def first_day(self) -> str: ...

    @property
    def last_day(self) -> str: ...


def days(principal: Principal, request: pb.GetUsageRequest, pages: Pages) -> tuple[UsageDays, Place]:
    """The days of the caller."""
    violations = Violations()
    first, last = _span(violations, request)
    scope = ("GetUsage", principal.user_id, request.first_day, request.last_day)
    place = pages.read(violations, request, *scope)
    violations.done()
    after = (date.fromisoformat(str(place.cursor[0])), str(place.cursor[1])) if place.cursor else None
    return UsageDays(user_id=principal.user_id, first=first, last=last, after=after, size=place.size), place


def users(principal: Principal, request: pb.ListUsageByUserRequest, pages: Pages) -> tuple[UsageUsers, Place]:
    """The users."""
    violations = Violations()
    first, last = _span(violations, request)
    scope = ("ListUsageByUser", principal.user_id, request.first_day, request.last_day)
    place = pages.read(violations, request, *scope)
    violations.done()
    return UsageUsers(first=first, last=last, after=place.after_id, size=place.size), place


def _span(violations: Violations, request: _Span) -> tuple[date, date]:
    last = _day(violations, "last_day", request.last_day) or clock.now().date()
    first = _day(violations, "first_day", request.first_day) or last - timedelta(days=min(USUAL_DAYS, _days_to(last)))
    if not timedelta() <= last - first <= timedelta(days=MOST_DAYS):
        violations.add("first_day", f"must be 0 to {MOST_DAYS} days before the last")
    return first, last


def _day(violations: Violations, field: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        violations.add(field, "must be a day such as 2026-11-23")
        return None


def _days_to(last: date) -> int:
    return (last - date.min).days
