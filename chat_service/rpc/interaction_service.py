"""chat.v1.InteractionService."""

from typing import Any

from grpc.aio import ServicerContext

from chat_service.interactions import Interactions
from chat_service.rpc import convert
from chat_service.rpc.pages import Pages
from chat_service.rpc.parse import interactions as parse
from protos.chat.v1 import interaction_service_pb2 as pb
from protos.chat.v1 import interaction_service_pb2_grpc
from shared import calls

Context = ServicerContext[Any, Any]


class InteractionService(interaction_service_pb2_grpc.InteractionServiceServicer):
    """The runs of models in the caller's conversations."""

    def __init__(self, interactions: Interactions, pages: Pages) -> None:
        """Serve with these rules."""
        self._interactions, self._pages = interactions, pages

    async def RecordInteraction(
        self, request: pb.RecordInteractionRequest, context: Context
    ) -> pb.RecordInteractionResponse:
        recorded = await self._interactions.record(parse.record(calls.principal(), request))
        return pb.RecordInteractionResponse(interaction=convert.interaction(recorded))

    async def GetInteraction(self, request: pb.GetInteractionRequest, context: Context) -> pb.GetInteractionResponse:
        found = await self._interactions.get(calls.principal().user_id, parse.interaction_id(request))
        return pb.GetInteractionResponse(interaction=convert.interaction(found))

    async def ListInteractions(
        self, request: pb.ListInteractionsRequest, context: Context
    ) -> pb.ListInteractionsResponse:
        asked, place = parse.list_interactions(calls.principal(), request, self._pages)
        page = await self._interactions.list(asked)
        token = place.next_token(page, lambda last: (str(last.id),))
        return pb.ListInteractionsResponse(interactions=map(convert.interaction, page.items), next_page_token=token)
