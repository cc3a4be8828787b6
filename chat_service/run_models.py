"""Runs of models by the service itself, as values; `docs/generation.md` has their states."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntEnum
from hashlib import sha256
from uuid import UUID

import orjson

from chat_service.models import InteractionError, InteractionState, Part, Role, ToolCall, Usage
from shared import ids

FINAL = frozenset(InteractionState) - {InteractionState.QUEUED, InteractionState.RUNNING}


class BusyPolicy(IntEnum):
    """What becomes of a run that is asked for while another is under way; numbered as in chat.v1."""

    REJECT = 1
    QUEUE = 2
    INTERRUPT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something that a model may ask to be run; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str = field(repr=False)
    parameters: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """How a model is to answer; what is None or empty is left to the provider. `response_schema` is a JSON schema."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = field(default=(), repr=False)
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = ""
    response_schema: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDefaults:
    """How models answer in a conversation where a request does not say otherwise."""

    model: str = ""
    system_prompt: str = field(default="", repr=False)
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for an answer."""

    user_id: UUID
    session_id: UUID
    conversation_id: UUID
    parts: tuple[Part, ...] = field(repr=False)
    weight: int
    request_id: str | None
    model: str
    parameters: Parameters
    busy_policy: BusyPolicy
    regenerate: UUID | None

    @property
    def digest(self) -> bytes:
        """What a repeat of the request must say again."""
        return sha256(
            orjson.dumps((self.parts, self.model, self.parameters, self.busy_policy, self.regenerate))
        ).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run that is to be accepted into a conversation; `parameters` is JSON."""

    id: UUID = field(default_factory=ids.new_id)
    user_id: UUID
    conversation_id: UUID
    session_id: UUID
    model: str
    branch: int
    prompt_id: UUID | None
    replaces_id: UUID | None = None
    busy_policy: BusyPolicy
    parameters: str = field(repr=False)
    request_id: str | None
    request_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message as a model is shown it."""

    id: UUID
    role: Role
    parts: tuple[Part, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who takes a run, and for how long that holds without news of the worker."""

    worker: UUID
    seconds: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the hands of a worker, who names the fence in everything that is written of it."""

    id: UUID
    user_id: UUID
    conversation_id: UUID
    session_id: UUID
    model: str
    branch: int
    prompt_id: UUID | None
    replaces_id: UUID | None = None
    parameters: str = field(repr=False)
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come: the text that readers have been sent for sure, where it is cut, and what it used."""

    text: str = field(repr=False, default="")
    chunk_ends: tuple[int, ...] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapsed:
    """A run whose worker gave no news: how far it came, and the state in which it was asked to end, if it was."""

    run: Run
    progress: Progress
    stop: InteractionState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to a provider, and what came of it."""

    id: UUID = field(default_factory=ids.new_id)
    provider: str
    model: str
    finish_reason: str = ""
    error_code: str = ""
    usage: Usage = field(default_factory=Usage)
    usage_estimated: bool = False
    time_to_first_token: timedelta | None = None
    duration: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run: its text as it was cut, what it cost, and why it failed, if it did."""

    state: InteractionState
    progress: Progress = field(default_factory=Progress)
    tool_calls: tuple[ToolCall, ...] = ()
    usage_estimated: bool = False
    error: InteractionError | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended, as it is recorded."""

    state: InteractionState
    chunk_ends: tuple[int, ...] = ()
    message_id: UUID | None = None
    usage: Usage = field(default_factory=Usage)
    usage_estimated: bool = False
    error: InteractionError | None = None
    components: tuple[tuple[UUID, int], ...] = ()
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is stored of a run's answer: enough to tell all its events again."""

    interaction_id: UUID
    conversation_id: UUID
    state: InteractionState
    waited: bool
    started: bool
    text: str = field(repr=False)
    chunk_ends: tuple[int, ...]
    message_id: UUID | None
    components: tuple[tuple[UUID, int], ...]
    worker: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDays:
    """Which days of a user to list, the first and the last included; after a day and a model."""

    user_id: UUID
    first: date
    last: date
    after: tuple[date, str] | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageOfDay:
    """What a user used of a model on a day."""

    day: date
    model: str
    runs: int
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageUsers:
    """Which users to list; after one."""

    first: date
    last: date
    after: UUID | None
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageOfUser:
    """What a user used in some days."""

    user_id: UUID
    runs: int
    usage: Usage
