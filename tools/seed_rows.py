"""Made-up people and conversations as rows to copy: with sizes and shapes as in real use."""

import json
import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from auth_service import refresh_tokens

Row = tuple[object, ...]
Tables = dict[str, list[Row]]

# In the order in which foreign keys allow them to be filled.
COLUMNS: Final = {
    "users": "id email password_hash display_name create_time update_time kind roles",
    "service_accounts": "user_id audiences scopes request_id",
    "sessions": "id user_id device_label user_agent address auth_methods create_time expire_time revoke_time "
    "revoke_reason kind scopes secret_digest",
    "machine_credentials": "session_id user_id request_id last_use_time",
    "user_tokens": "id user_id session_id type token_digest generation rotate_time create_time expire_time revoke_time",
    "audit_events": "id type user_id session_id address create_time",
    "conversations": "user_id id title pinned archived active_depth message_count branch_count revision create_time "
    "update_time delete_time purge_time",
    "conversation_branches": "user_id conversation_id branch parent fork_depth lineage_branches lineage_depths "
    "revision session_id create_time",
    "conversation_sessions": "user_id conversation_id session_id read_position create_time update_time",
    "chat_messages": "user_id id conversation_id session_id position branch depth revision role parts text_bytes "
    "request_id create_time",
    "components": "user_id id conversation_id session_id name type version revision create_time update_time",
    "component_versions": "user_id component_id version content content_bytes content_hash session_id create_time",
    "ai_interactions": "user_id id conversation_id session_id state model message_id input_tokens output_tokens "
    "cost_micros price_version error_code error_message revision create_time end_time",
    "ai_responses": "user_id id interaction_id conversation_id session_id message_id model finish_reason input_tokens "
    "output_tokens cost_micros price_version first_token_micros duration_micros create_time",
}

_OF_PEOPLE: Final = ("users", "service_accounts", "sessions", "machine_credentials", "user_tokens", "audit_events")
_SESSION_LIFE: Final = timedelta(days=90)
_HISTORY_DAYS: Final = 60
_PURGED_AFTER: Final = timedelta(days=30)
_LONG_CONVERSATION: Final = 2_000
_TRUNK, _NO_END = 1, 2**63 - 1
_SYSTEM, _USER, _ASSISTANT = 1, 2, 3  # chat.v1.Role
_COMPLETED, _FAILED = 3, 4  # chat.v1.InteractionState
_DEVICES: Final = ("iPhone", "Pixel", "MacBook", "ThinkPad", "iPad")
_TYPES: Final = {"text/tsx": "tsx", "text/python": "py", "text/html": "html", "text/markdown": "md"}
_MODELS: Final = ("small-1", "small-1", "large-2")
_WORDS: Final = """
the of a to in is it we can this that with for as on be at by from or an will one all would there their what so if
about who get which when make like time just know take into year your good some could them see other than then now
look only come over think also back after use two how our work first well way even new want because any these give
plan garden recipe budget train winter letter engine colour number question answer table picture river mountain
""".split()  # noqa: SIM905 (read as text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A session that conversations can be written from."""

    user_id: UUID
    id: UUID
    create_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Accounts with their sessions; all have one password."""

    password_hash: str = field(repr=False)
    now: datetime
    random: random.Random

    def rows(self, numbers: range) -> Tables:
        """So many people, named by their numbers."""
        tables: Tables = {name: [] for name in _OF_PEOPLE}
        for number in numbers:
            self._add(tables, number)
        return tables

    def _add(self, tables: Tables, number: int) -> None:
        joined = self.now - timedelta(days=self.random.uniform(0.1, _HISTORY_DAYS))
        user_id = id_at(joined)
        name = f"Person {number}"
        tables["users"].append((user_id, email(number), self.password_hash, name, joined, joined, "PERSON", []))
        begin = joined
        for nth in range(1 + min(int(self.random.expovariate(1.0)), 5)):
            session_id = self._add_session(tables, user_id, begin)
            event = "LOG_IN" if nth else "SIGN_UP"
            tables["audit_events"].append((id_at(begin), event, user_id, session_id, "198.51.100.7", begin))
            begin += (self.now - begin) * self.random.random()
        if number % 10 == 0:
            self._add_key(tables, user_id, begin)
        if number % 50 == 0:
            self._add_service(tables, number, joined)

    def _add_service(self, tables: Tables, number: int, joined: datetime) -> None:
        account_id = id_at(joined)
        user = (account_id, None, None, f"Service {number}", joined, joined, "SERVICE", ["service"])
        tables["users"].append(user)
        tables["service_accounts"].append((account_id, ["auth", "chat"], ["users.read"], str(account_id)))

    def _add_key(self, tables: Tables, user_id: UUID, begin: datetime) -> None:
        key_id = id_at(begin)
        told: Row = ("robot", "robot/1.0", "198.51.100.7", [], begin, begin + _SESSION_LIFE, None, None)
        held = ("API_KEY", ["chat.read", "chat.write"], self.random.randbytes(32))
        tables["sessions"].append((key_id, user_id, *told, *held))
        tables["machine_credentials"].append((key_id, user_id, str(key_id), self.now))

    def _add_session(self, tables: Tables, user_id: UUID, begin: datetime) -> UUID:
        session_id, expiry = id_at(begin), begin + _SESSION_LIFE
        # Not so long ago that clean-up would take it away again.
        ended = self.random.random() < 0.2  # noqa: PLR2004
        end = max(begin, self.now - timedelta(days=self.random.uniform(0, 5))) if ended else None
        device = self.random.choice(_DEVICES)
        told = (device, f"{device} app/1.4", "198.51.100.7", ["pwd"])
        reason = "LOG_OUT" if ended else None
        tables["sessions"].append((session_id, user_id, *told, begin, expiry, end, reason, "SIGN_IN", [], None))
        generation = self.random.randrange(1, 200)
        used = end or self.now - min(timedelta(days=self.random.expovariate(0.3)), self.now - begin)
        digest = refresh_tokens.digest(session_id)
        token = (id_at(begin), user_id, session_id, "REFRESH", digest, generation, used, begin, expiry, end)
        tables["user_tokens"].append(token)
        return session_id


class Conversations:
    """Conversations with all that is in them."""

    def __init__(self, people: Sequence[Sequence[SignIn]], now: datetime, source: random.Random) -> None:
        """Have them written by these people, each with their sessions."""
        self._people, self._now, self._random = people, now, source

    def batches(self, messages: int, at_once: int) -> Iterator[Tables]:
        """Tables with at least so many messages together; the first conversation is a long one."""
        made, length = 0, min(_LONG_CONVERSATION, messages // 10)
        while made < messages:
            tables: Tables = {name: [] for name in list(COLUMNS)[len(_OF_PEOPLE) :]}
            while len(tables["chat_messages"]) < min(at_once, messages - made):
                self._add(tables, self._random.choice(self._people), length or self._length())
                length = 0
            made += len(tables["chat_messages"])
            yield tables

    def _length(self) -> int:
        return min(1 + int(self._random.lognormvariate(3.0, 1.0)), 400)

    def _add(self, tables: Tables, person: Sequence[SignIn], length: int) -> None:
        sign_ins = self._random.sample(person, min(len(person), self._random.choice((1, 1, 2))))
        begin = max(sign_in.create_time for sign_in in sign_ins)
        begin += (self._now - begin) * self._random.random()
        thread = _Thread(tables, sign_ins, begin, self._now, self._random)
        for depth in range(1, length + 1):
            thread.say(depth)
        for _ in range(self._random.choice((0, 0, 0, 0, 0, 0, 0, 1, 1, 3))):
            thread.fork(self._random.randrange(length), self._length() // 4)
        for nth in range(self._random.choice((0, 0, 0, 1, 3))):
            thread.build(nth)
        thread.close(length)


class _Thread:
    """One conversation while it is being made up."""

    def __init__(
        self, tables: Tables, sign_ins: Sequence[SignIn], begin: datetime, now: datetime, source: random.Random
    ) -> None:
        self._tables, self._sign_ins, self._random = tables, sign_ins, source
        self._user_id, self._id = sign_ins[0].user_id, id_at(begin)
        self._begin, self._time, self._now, self._revision = begin, begin, now, 1
        self._position, self._branches = 0, 1

    def fork(self, depth: int, length: int) -> None:
        """Another way on from the trunk, from after a depth."""
        self._branches += 1
        lineage = ([_TRUNK, self._branches], [depth, _NO_END]) if depth else ([self._branches], [_NO_END])
        made = (self._next_revision(), self._sign_ins[0].id, self._time)
        row = (self._user_id, self._id, self._branches, _TRUNK, depth, *lineage, *made)
        self._tables["conversation_branches"].append(row)
        for number in range(1, length + 2):
            self.say(depth + number, self._branches)

    def say(self, depth: int, branch: int = _TRUNK) -> None:
        """A message, by the user and the model in turn; after most of the model's comes the record of its run."""
        self._pass_time()
        self._position += 1
        role = _SYSTEM if depth == 1 and self._chance(0.1) else (_ASSISTANT, _USER)[depth % 2]
        text = self._text(12 if role == _USER else 60)
        message_id, session_id = id_at(self._time), self._random.choice(self._sign_ins).id
        place = (self._position, branch, depth, self._next_revision(), role)
        request_id = str(message_id) if self._chance(0.5) else None
        written = (json.dumps([{"text": text}]), len(text), request_id, self._time)
        self._tables["chat_messages"].append((self._user_id, message_id, self._id, session_id, *place, *written))
        if role == _ASSISTANT and self._chance(0.7):
            self._record(session_id, message_id, len(text) // 4)

    def build(self, nth: int) -> None:
        """A component with a few versions."""
        kind, ending = self._random.choice(list(_TYPES.items()))
        component_id, made = id_at(self._time), self._time
        versions = self._random.randrange(1, 5)
        session_id = self._sign_ins[0].id
        for version in range(1, versions + 1):
            content = self._text(200)
            told = (content, len(content), sha256(content.encode()).digest())
            self._tables["component_versions"].append(
                (self._user_id, component_id, version, *told, session_id, self._time)
            )
            self._pass_time()
        component = (component_id, self._id, session_id, f"src/part{nth}.{ending}", kind, versions)
        times = (self._next_revision(), made, self._time)
        self._tables["components"].append((self._user_id, *component, *times))

    def close(self, length: int) -> None:
        """The conversation's own row, with its counters, and who took part."""
        deleted = self._chance(0.02)
        end = (self._now, self._now + _PURGED_AFTER) if deleted else (None, None)
        kept = (self._chance(0.03), self._chance(0.1))
        counted = (length, self._position, self._branches, self._revision)
        row = (self._user_id, self._id, self._text(4)[:200], *kept, *counted, self._begin, self._time, *end)
        self._tables["conversations"].append(row)
        for sign_in in self._sign_ins:
            read = length if self._chance(0.7) else self._random.randrange(length + 1)
            link = (self._user_id, self._id, sign_in.id, read, self._begin, self._time)
            self._tables["conversation_sessions"].append(link)

    def _record(self, session_id: UUID, message_id: UUID, tokens: int) -> None:
        run_id, model, failed = id_at(self._time), self._random.choice(_MODELS), self._chance(0.03)
        used = (20 * tokens, tokens, 90 * tokens, "2026-11-01")
        state = (_FAILED, "overloaded", "The model is overloaded.") if failed else (_COMPLETED, None, None)
        told = (model, None if failed else message_id, *used, *state[1:], self._next_revision(), self._time, self._time)
        self._tables["ai_interactions"].append((self._user_id, run_id, self._id, session_id, state[0], *told))
        if not failed:
            answer = (message_id, f"{model}-0901", "stop", *used, 300_000, 20_000 * tokens, self._time)
            row = (self._user_id, id_at(self._time), run_id, self._id, session_id, *answer)
            self._tables["ai_responses"].append(row)

    def _pass_time(self) -> None:
        self._time = min(self._time + timedelta(seconds=self._random.expovariate(0.02)), self._now)

    def _next_revision(self) -> int:
        self._revision += 1
        return self._revision

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=1 + int(self._random.expovariate(1 / words))))


def email(number: int) -> str:
    """The address of a person by number."""
    return f"seed-{number}@example.com"


def id_at(moment: datetime) -> UUID:
    """An identifier as it would have been made at that time (RFC 9562 section 5.7)."""
    milliseconds = int(moment.timestamp() * 1000)
    chance = secrets.randbits(74)
    return UUID(int=milliseconds << 80 | 7 << 76 | (chance >> 62) << 64 | 2 << 62 | chance & (1 << 62) - 1)
