"""The requests for answers."""

import math
import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from chat_service.answers import BEGINNING, Place
from chat_service.models import Part
from chat_service.rpc import json_values
from chat_service.rpc.parse import parts
from chat_service.run_models import Ask, BusyPolicy, ModelDefaults, Parameters, Tool
from protos.chat.v1 import generation_pb2 as pb
from protos.chat.v1 import parameters_pb2
from protos.chat.v1.resources_pb2 import Part as PartMessage
from shared.calls import Principal
from shared.validation import Violations

MAX_MODEL: Final = 200
MAX_SYSTEM_PROMPT: Final = 32_000
MAX_STOPS: Final = 4
MAX_STOP: Final = 100
MAX_TOOLS: Final = 64
MAX_TOOL_DESCRIPTION: Final = 4_000
MAX_SCHEMA_BYTES: Final = 32_768
MAX_OUTPUT_TOKENS: Final = 1_000_000
_MAX_SCHEMA_DEPTH: Final = 32
_HOTTEST: Final = 2.0
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHOICES: Final = ("", "auto", "none", "required")
_CURSOR: Final = re.compile(r"[0-6]\.[0-9]{1,9}")
_POLICIES: Final = {0: BusyPolicy.REJECT} | {policy.value: policy for policy in BusyPolicy}


def generate(principal: Principal, request: pb.GenerateRequest) -> Ask:
    """The answer to write."""
    violations = Violations()
    policy = _POLICIES.get(request.busy_policy)
    if policy is None:
        violations.add("busy_policy", "is not a known policy")
    said, weight = _parts(violations, request.parts)
    if request.parts and request.regenerate_message_id:
        violations.add("parts", "must be left out with regenerate_message_id")
    ask = Ask(
        user_id=principal.user_id,
        session_id=principal.session_id,
        conversation_id=violations.id("conversation_id", request.conversation_id),
        parts=said,
        weight=weight,
        request_id=violations.request_id(request.request_id),
        model=violations.text("model", request.model, longest=MAX_MODEL),
        parameters=parameters(violations, "parameters", request.parameters),
        busy_policy=policy or BusyPolicy.REJECT,
        regenerate=violations.optional_id("regenerate_message_id", request.regenerate_message_id),
    )
    violations.done()
    return ask


def resume(request: pb.ResumeInteractionRequest) -> tuple[UUID, Place]:
    """The interaction, and the place after which to go on."""
    violations = Violations()
    interaction_id = violations.id("interaction_id", request.interaction_id)
    if request.cursor and not _CURSOR.fullmatch(request.cursor):
        violations.add("cursor", "must be one that came with an event")
    violations.done()
    if not request.cursor:
        return interaction_id, BEGINNING
    phase, _, number = request.cursor.partition(".")
    return interaction_id, Place(int(phase), int(number))


def cancel(request: pb.CancelInteractionRequest) -> UUID:
    """The interaction to end."""
    violations = Violations()
    interaction_id = violations.id("interaction_id", request.interaction_id)
    violations.done()
    return interaction_id


def parameters(violations: Violations, path: str, wanted: parameters_pb2.Parameters) -> Parameters:
    """How a model is to answer."""
    violations.count(f"{path}.stop", wanted.stop, least=0, most=MAX_STOPS)
    violations.count(f"{path}.tools", wanted.tools, least=0, most=MAX_TOOLS)
    tools = tuple(_tool(violations, f"{path}.tools[{n}]", tool) for n, tool in enumerate(wanted.tools[:MAX_TOOLS]))
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        violations.add(f"{path}.tools", "must have different names")
    if wanted.tool_choice not in (*_CHOICES, *names):
        violations.add(f"{path}.tool_choice", "must be auto, none, required, or the name of one of the tools")
    return Parameters(
        temperature=_between(violations, f"{path}.temperature", wanted, 0.0, _HOTTEST),
        top_p=_between(violations, f"{path}.top_p", wanted, math.nextafter(0.0, 1.0), 1.0),
        max_output_tokens=_output_tokens(violations, path, wanted),
        stop=tuple(
            violations.text(f"{path}.stop[{number}]", text, shortest=1, longest=MAX_STOP)
            for number, text in enumerate(wanted.stop[:MAX_STOPS])
        ),
        seed=wanted.seed if wanted.HasField("seed") else None,
        tools=tools,
        tool_choice=wanted.tool_choice,
        response_schema=_schema(violations, f"{path}.response_schema", wanted.response_schema)
        if wanted.HasField("response_schema")
        else None,
    )


def model_defaults(violations: Violations, path: str, wanted: parameters_pb2.ModelDefaults) -> ModelDefaults:
    """How models are to answer in a conversation."""
    return ModelDefaults(
        model=violations.text(f"{path}.model", wanted.model, longest=MAX_MODEL),
        system_prompt=violations.text(f"{path}.system_prompt", wanted.system_prompt, longest=MAX_SYSTEM_PROMPT),
        parameters=parameters(violations, f"{path}.parameters", wanted.parameters),
    )


def _parts(violations: Violations, given: Sequence[PartMessage]) -> tuple[tuple[Part, ...], int]:
    return parts.read(violations, given, "") if given else ((), 0)


def _tool(violations: Violations, path: str, tool: parameters_pb2.Tool) -> Tool:
    if not _TOOL_NAME.fullmatch(tool.name):
        violations.add(f"{path}.name", "must be 1 to 64 letters, digits, _ and -")
    return Tool(
        name=tool.name,
        description=violations.text(f"{path}.description", tool.description, longest=MAX_TOOL_DESCRIPTION),
        parameters=_schema(violations, f"{path}.parameters", tool.parameters),
    )


def _schema(violations: Violations, path: str, schema: Struct) -> str:
    try:
        text = json_values.dump(schema, deepest=_MAX_SCHEMA_DEPTH)
    except ValueError as error:
        violations.add(path, str(error))
        return "{}"
    if len(text.encode()) > MAX_SCHEMA_BYTES:
        violations.add(path, f"must have at most {MAX_SCHEMA_BYTES} bytes as JSON")
    return text


def _between(
    violations: Violations, path: str, wanted: parameters_pb2.Parameters, least: float, most: float
) -> float | None:
    name = path.rpartition(".")[2]
    if not wanted.HasField(name):  # type: ignore[arg-type]
        return None
    value: float = getattr(wanted, name)
    if not least <= value <= most:
        violations.add(path, f"must be {'more than 0' if least else 'from 0'}, and at most {most:g}")
        return None
    return value


def _output_tokens(violations: Violations, path: str, wanted: parameters_pb2.Parameters) -> int | None:
    if not wanted.HasField("max_output_tokens"):
        return None
    if not 1 <= wanted.max_output_tokens <= MAX_OUTPUT_TOKENS:
        violations.add(f"{path}.max_output_tokens", f"must be 1 to {MAX_OUTPUT_TOKENS}")
    return wanted.max_output_tokens
