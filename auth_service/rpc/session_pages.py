"""The pages of ListSessions: where one ends, and the token that the next one begins with."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from auth_service.models import Session
from auth_service.sessions import Sessions
from protos.auth.v1 import account_service_pb2 as pb
from shared import paging
from shared.calls import Principal
from shared.paging import Cursor, PageTokens


class SessionPages:
    """Reads one row more than a page holds, to know whether there is another."""

    def __init__(self, sessions: Sessions, tokens: PageTokens) -> None:
        """Read with these rules, and sign page tokens."""
        self._sessions, self._tokens = sessions, tokens

    async def read(self, principal: Principal, request: pb.ListSessionsRequest) -> tuple[Sequence[Session], str]:
        """A page of sessions, and the token of the next one; empty at the end."""
        size = paging.page_size(request.page_size)
        scope = ("ListSessions", str(principal.user_id), int(request.show_revoked))
        cursor = self._tokens.read(scope, request.page_token)
        if request.show_revoked:
            found = await self._sessions.list_all(principal, UUID(str(cursor[0])) if cursor else None, size + 1)
        else:
            found = await self._sessions.list_active(principal, _after(cursor), size + 1)
        page = found[:size]
        return page, (self._tokens.write(scope, _cursor(page[-1], request)) if len(found) > size else "")


def _after(cursor: Cursor | None) -> tuple[datetime, UUID] | None:
    return (datetime.fromisoformat(str(cursor[1])), UUID(str(cursor[0]))) if cursor else None


def _cursor(last: Session, request: pb.ListSessionsRequest) -> Cursor:
    return (str(last.id),) if request.show_revoked else (str(last.id), last.expire_time.isoformat())
