"""The one place where chat is put together."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

import grpc
import structlog

from chat_service import cleanup, erasures, imports, providers, retention
from chat_service.answers import Answers
from chat_service.branches import Branches
from chat_service.components import Components
from chat_service.config import ChatConfig
from chat_service.conversation_sessions import ConversationSessions
from chat_service.conversation_watches import ConversationWatches
from chat_service.conversations import Conversations
from chat_service.erasures import Erasures
from chat_service.exports import Exports
from chat_service.generation import Generation
from chat_service.hints import Hints
from chat_service.imports import Imports
from chat_service.interactions import Interactions
from chat_service.ledger import Ledger
from chat_service.live import Live
from chat_service.live_answers import LiveAnswers
from chat_service.messages import Messages
from chat_service.presence import Presence
from chat_service.prices import Prices
from chat_service.relay import Relay
from chat_service.retention import Retention
from chat_service.rpc.component_service import ComponentService
from chat_service.rpc.conversation_service import ConversationService
from chat_service.rpc.interaction_service import InteractionService
from chat_service.rpc.live import LiveRules
from chat_service.rpc.message_service import MessageService
from chat_service.rpc.pages import Pages
from chat_service.rpc.transfer.streams import Files
from chat_service.runs import TICK_SECONDS, Means, Runs
from chat_service.searches import Searches
from chat_service.streams import POLL_SECONDS, Streams
from chat_service.tails import Tails
from chat_service.user_watches import UserWatches
from protos.chat.v1 import (
    component_service_pb2,
    component_service_pb2_grpc,
    conversation_service_pb2,
    conversation_service_pb2_grpc,
    interaction_service_pb2,
    interaction_service_pb2_grpc,
    message_service_pb2,
    message_service_pb2_grpc,
)
from shared import cleanup as shared_cleanup
from shared.cache import CacheView
from shared.grpc import channels
from shared.grpc.auth_client import AuthClient
from shared.grpc.runtime import Resources, resources, serving
from shared.grpc.server import GrpcServer, Service
from shared.grpc.verifier import RemoteVerifier, Verifier
from shared.grpc.verifying import on_shared_cache
from shared.paging import PageTokens

log = structlog.get_logger()

Know: TypeAlias = "Callable[[ChatConfig, Resources, grpc.aio.Channel], Awaitable[Verifier]]"
_AUDIENCE: Final = "chat"


async def by_tokens(config: ChatConfig, held: Resources, channel: grpc.aio.Channel) -> Verifier:
    """Know callers by their access tokens: from the shared cache, or by asking auth each time where chat has no key."""
    if config.service_key is None:
        log.warning("CHAT_SERVICE_KEY is not set: asking auth about every access token")
        return RemoteVerifier(AuthClient(channel, None), _AUDIENCE)
    auth = AuthClient(channel, config.service_key.get_secret_value())
    cache = CacheView(held.link)
    return await on_shared_cache(
        auth, _AUDIENCE, held.background, cache, serve_through_outages=config.serve_through_outages
    )


@contextlib.asynccontextmanager
async def build(config: ChatConfig, know: Know = by_tokens) -> AsyncIterator[GrpcServer]:
    """Chat, serving until the context ends; callers are known by their tokens unless another way is given."""
    async with (
        resources("parley-chat", config) as held,
        channels.connect(config.auth_target, config.auth_tls) as channel,
    ):
        held.background.spawn("redis link", held.link.run())
        shared_cleanup.schedule([*cleanup.tasks(), *erasures.tasks(), *imports.tasks()], held.database, held.background)
        _forget(config, held, channel)
        verifier = await know(config, held, channel)
        live = Live(held.link, config.redis_url.get_secret_value())
        held.background.spawn("live", live.run())
        hints = Hints(live)
        streams = Streams(config.streams_per_user)
        held.background.every(POLL_SECONDS, "poll for watchers", streams.poll)
        held.background.spawn("end of streams", streams.end_with(held.ending))
        async with _generation(config, held, streams, live, hints) as (generation, tails):
            services = _services(config, held, live, streams, generation, tails)
            async with serving(config, held, services, verifier, "chat.parley") as server:
                yield server


@contextlib.asynccontextmanager
async def _generation(
    config: ChatConfig, held: Resources, streams: Streams, live: Live, hints: Hints
) -> AsyncIterator[tuple[Generation, Tails]]:
    """Answers, written until the service ends; then those under way have the grace time to end by themselves."""
    async with providers.connect(config.asked) as asked:
        written = LiveAnswers()
        prices = Prices.read(config.prices_file)
        means = Means(providers=asked, prices=prices, patience=config.patience, at_once=config.answers_at_once)
        runs = Runs(held.database, written, hints, held.background, means)
        relay = Relay(live, written)
        answers = Answers(held.database, written, relay, streams, hints)
        held.background.spawn("end of runs", runs.end(held.ending, config.shutdown_grace_seconds))
        held.background.every(TICK_SECONDS, "runs", runs.tick)
        with relay.serving(runs.worker):
            try:
                generation = Generation(held.database, runs, answers, hints, held.background, config.quota)
                yield generation, Tails(held.database, written, relay)
            finally:
                held.ending.set()
                await runs.ended.wait()


def _forget(config: ChatConfig, held: Resources, channel: grpc.aio.Channel) -> None:
    """Whom auth has erased is erased here, and what nobody touches goes, where that is set."""
    if config.service_key is None:
        log.warning("CHAT_SERVICE_KEY is not set: what chat keeps of accounts that auth erases, it goes on keeping")
    else:
        auth = AuthClient(channel, config.service_key.get_secret_value())
        learning = Erasures(held.database, auth.erased_after)
        held.background.every(erasures.PAUSE_SECONDS, "erasures", learning.learn)
    if config.untouched is not None:
        aging = Retention(held.database, config.untouched, config.retention)
        held.background.every(retention.PAUSE_SECONDS, "retention", aging.work)


def _services(
    config: ChatConfig, held: Resources, live: Live, streams: Streams, generation: Generation, tails: Tails
) -> list[Service]:
    hints = Hints(live)
    tokens = PageTokens(config.key_ring.macs("page tokens"))
    pages = Pages(tokens)
    links = ConversationSessions(held.database, hints)
    searches = Searches(held.database)
    kept = Conversations(held.database, hints, config.retention)
    presence = Presence(kept, live)
    watching = LiveRules(
        conversations=ConversationWatches(held.database, streams, hints, presence, tails),
        users=UserWatches(held.database, streams, hints),
        presence=presence,
    )
    files = Files(Exports(held.database), Imports(held.database, hints, config.retention), tokens)
    conversations = ConversationService(kept, links, watching, searches, files, pages)
    messages = MessageService(Messages(held.database, hints), Branches(held.database, hints), searches, pages)
    components = ComponentService(Components(held.database, hints), pages)
    ledger = Ledger(held.database)
    interactions = InteractionService(Interactions(held.database, hints), generation, ledger, pages)
    return [
        Service(
            descriptor=conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"],
            add=lambda server: conversation_service_pb2_grpc.add_ConversationServiceServicer_to_server(
                conversations, server
            ),
        ),
        Service(
            descriptor=message_service_pb2.DESCRIPTOR.services_by_name["MessageService"],
            add=lambda server: message_service_pb2_grpc.add_MessageServiceServicer_to_server(messages, server),
        ),
        Service(
            descriptor=component_service_pb2.DESCRIPTOR.services_by_name["ComponentService"],
            add=lambda server: component_service_pb2_grpc.add_ComponentServiceServicer_to_server(components, server),
        ),
        Service(
            descriptor=interaction_service_pb2.DESCRIPTOR.services_by_name["InteractionService"],
            add=lambda server: interaction_service_pb2_grpc.add_InteractionServiceServicer_to_server(
                interactions, server
            ),
        ),
    ]
