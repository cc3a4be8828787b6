"""Events of answers into messages."""

from typing import TypeVar

from chat_service.answers import Event
from chat_service.models import Component, Interaction, Message
from chat_service.rpc import convert
from protos.chat.v1 import generation_pb2 as pb

Response = TypeVar("Response", pb.GenerateResponse, pb.ResumeInteractionResponse)


def generated(event: Event) -> pb.GenerateResponse:
    """An event for who asked for the answer."""
    return _fill(pb.GenerateResponse(), event)


def resumed(event: Event) -> pb.ResumeInteractionResponse:
    """An event for who goes on with it."""
    return _fill(pb.ResumeInteractionResponse(), event)


def _fill(response: Response, event: Event) -> Response:
    response.cursor = f"{event.place.phase}.{event.place.number}"
    match event.what:
        case str():
            response.delta.text = event.what
        case Interaction():
            response.interaction.CopyFrom(convert.interaction(event.what))
        case Message():
            response.message.CopyFrom(convert.message(event.what))
        case Component():
            response.component.CopyFrom(convert.component(event.what))
    return response
