"""What a model is told beside the messages: as it is stored, and as a provider takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from chat_service.run_models import ModelDefaults, Parameters, Tool

if TYPE_CHECKING:  # a second of CPU, which only who has a provider pays
    from openai.types.chat import ChatCompletionToolUnionParam
    from openai.types.chat.completion_create_params import ResponseFormat

_WORDS: Final = ("auto", "none", "required")
_ANY_OBJECT: Final = "{}"


def dump(parameters: Parameters) -> str:
    """Parameters as they are stored."""
    return orjson.dumps(parameters).decode()


def load(stored: str) -> Parameters:
    """Stored parameters as a value."""
    return _value(orjson.loads(stored))


def _value(plain: dict[str, Any]) -> Parameters:
    tools = tuple(Tool(**tool) for tool in plain.pop("tools", ()))
    return Parameters(**plain | {"tools": tools, "stop": tuple(plain.get("stop", ()))})


def dump_defaults(defaults: ModelDefaults) -> str:
    """A conversation's defaults as they are stored; what says nothing is the empty object."""
    return "{}" if defaults == ModelDefaults() else orjson.dumps(defaults).decode()


def load_defaults(stored: str) -> ModelDefaults:
    """Stored defaults as a value."""
    plain = orjson.loads(stored)
    if not plain:
        return ModelDefaults()
    parameters = _value(plain["parameters"])
    return ModelDefaults(model=plain["model"], system_prompt=plain["system_prompt"], parameters=parameters)


def merged(asked: Parameters, defaults: Parameters) -> Parameters:
    """What a request says, and what the conversation says where the request is silent; tools go with their choice."""
    fields = {
        name: getattr(asked, name) if getattr(asked, name) not in (None, (), "") else getattr(defaults, name)
        for name in ("temperature", "top_p", "max_output_tokens", "stop", "seed", "response_schema")
    }
    source = asked if asked.tools or asked.tool_choice else defaults
    tools = source.tools or defaults.tools
    return Parameters(**fields, tools=tools, tool_choice=source.tool_choice)


def for_provider(parameters: Parameters, output_limit: str) -> dict[str, Any]:
    """The arguments of a chat completion; `output_limit` is the provider's name for the most tokens to write."""
    told: dict[str, Any] = {
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        output_limit: parameters.max_output_tokens,
        "stop": list(parameters.stop) or None,
        "seed": parameters.seed,
        "tools": [_tool(tool) for tool in parameters.tools] or None,
        "tool_choice": _tool_choice(parameters) if parameters.tools else None,
        "response_format": _response_format(parameters.response_schema) if parameters.response_schema else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _tool(tool: Tool) -> ChatCompletionToolUnionParam:
    schema = orjson.loads(tool.parameters or _ANY_OBJECT)
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": schema},
    }


def _tool_choice(parameters: Parameters) -> object:
    choice = parameters.tool_choice
    return (choice or None) if choice in ("", *_WORDS) else {"type": "function", "function": {"name": choice}}


def _response_format(schema: str) -> ResponseFormat:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": orjson.loads(schema), "strict": True}}
