"""chat.v1.InteractionService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from chat_service.generation import Generation
from chat_service.interactions import Interactions
from chat_service.ledger import Ledger
from chat_service.rpc import convert, events
from chat_service.rpc.pages import Pages
from chat_service.rpc.parse import generation as parse_generation
from chat_service.rpc.parse import interactions as parse
from chat_service.rpc.parse import usage as parse_usage
from protos.chat.v1 import generation_pb2, interaction_service_pb2_grpc, usage_pb2
from protos.chat.v1 import interaction_service_pb2 as pb
from shared import calls

Context = ServicerContext[Any, Any]


class InteractionService(interaction_service_pb2_grpc.InteractionServiceServicer):
    """The runs of models in the caller's conversations."""

    def __init__(self, interactions: Interactions, generation: Generation, ledger: Ledger, pages: Pages) -> None:
        """Serve with these rules."""
        self._interactions, self._generation = interactions, generation
        self._ledger, self._pages = ledger, pages

    async def Generate(
        self, request: generation_pb2.GenerateRequest, context: Context
    ) -> AsyncIterator[generation_pb2.GenerateResponse]:
        ask = parse_generation.generate(calls.principal(), request)
        async with aclosing(self._generation.generate(ask)) as answer:
            async for event in answer:
                yield events.generated(event)

    async def ResumeInteraction(
        self, request: generation_pb2.ResumeInteractionRequest, context: Context
    ) -> AsyncIterator[generation_pb2.ResumeInteractionResponse]:
        interaction_id, after = parse_generation.resume(request)
        async with aclosing(self._generation.resume(calls.principal().user_id, interaction_id, after)) as answer:
            async for event in answer:
                yield events.resumed(event)

    async def CancelInteraction(
        self, request: generation_pb2.CancelInteractionRequest, context: Context
    ) -> generation_pb2.CancelInteractionResponse:
        ended = await self._generation.cancel(calls.principal().user_id, parse_generation.cancel(request))
        return generation_pb2.CancelInteractionResponse(interaction=convert.interaction(ended))

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: Context) -> usage_pb2.GetUsageResponse:
        asked, place = parse_usage.days(calls.principal(), request, self._pages)
        page = await self._ledger.days(asked)
        token = place.next_token(page, lambda last: (last.day.isoformat(), last.model))
        return usage_pb2.GetUsageResponse(days=map(convert.usage_of_day, page.items), next_page_token=token)

    async def ListUsageByUser(
        self, request: usage_pb2.ListUsageByUserRequest, context: Context
    ) -> usage_pb2.ListUsageByUserResponse:
        asked, place = parse_usage.users(calls.principal(), request, self._pages)
        page = await self._ledger.users(asked)
        token = place.next_token(page, lambda last: (str(last.user_id),))
        return usage_pb2.ListUsageByUserResponse(users=map(convert.usage_of_user, page.items), next_page_token=token)

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
