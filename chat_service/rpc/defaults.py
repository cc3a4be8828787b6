"""How models answer in a conversation, from its JSON into messages."""

from typing import Final

import orjson
from google.protobuf.struct_pb2 import Struct

from chat_service import parameters
from chat_service.run_models import Parameters
from protos.chat.v1 import parameters_pb2 as pb

_NONE: Final = "{}"


def from_json(text: str) -> pb.ModelDefaults | None:
    """The defaults of a conversation; None where it has none."""
    if text == _NONE:
        return None
    defaults = parameters.load_defaults(text)
    return pb.ModelDefaults(
        model=defaults.model,
        system_prompt=defaults.system_prompt,
        parameters=None if defaults.parameters == Parameters() else _parameters(defaults.parameters),
    )


def _parameters(model: Parameters) -> pb.Parameters:
    return pb.Parameters(
        temperature=model.temperature,
        top_p=model.top_p,
        max_output_tokens=model.max_output_tokens,
        stop=model.stop,
        seed=model.seed,
        tools=[
            pb.Tool(name=tool.name, description=tool.description, parameters=_struct(tool.parameters))
            for tool in model.tools
        ],
        tool_choice=model.tool_choice,
        response_schema=None if model.response_schema is None else _struct(model.response_schema),
    )


def _struct(schema: str) -> Struct:
    struct = Struct()
    struct.update(orjson.loads(schema))
    return struct
