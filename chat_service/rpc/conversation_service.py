"""chat.v1.ConversationService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from chat_service.conversation_sessions import ConversationSessions
from chat_service.conversations import Conversations
from chat_service.rpc import convert, hits, live
from chat_service.rpc.live import LiveRules
from chat_service.rpc.pages import Pages
from chat_service.rpc.parse import conversations as parse
from chat_service.rpc.parse import searches as parse_search
from chat_service.rpc.transfer.streams import Files
from chat_service.searches import Searches
from protos.chat.v1 import conversation_service_pb2 as pb
from protos.chat.v1 import conversation_service_pb2_grpc, live_pb2, search_pb2
from protos.chat.v1 import transfer_pb2 as transfer_pb
from shared import calls

Context = ServicerContext[Any, Any]


class ConversationService(conversation_service_pb2_grpc.ConversationServiceServicer):
    """The caller's conversations, and the sign-ins that take part in them."""

    def __init__(
        self,
        conversations: Conversations,
        links: ConversationSessions,
        rules: LiveRules,
        searches: Searches,
        files: Files,
        pages: Pages,
    ) -> None:
        """Serve with these rules."""
        self._conversations, self._links, self._live = conversations, links, rules
        self._searches, self._files, self._pages = searches, files, pages

    async def CreateConversation(
        self, request: pb.CreateConversationRequest, context: Context
    ) -> pb.CreateConversationResponse:
        made = await self._conversations.create(parse.create(calls.principal(), request))
        return pb.CreateConversationResponse(conversation=convert.conversation(made))

    async def GetConversation(self, request: pb.GetConversationRequest, context: Context) -> pb.GetConversationResponse:
        conversation_id = parse.conversation_id(request.conversation_id)
        seen = await self._conversations.show(calls.principal(), conversation_id)
        conversation = convert.conversation(seen.conversation)
        return pb.GetConversationResponse(conversation=conversation, unread_count=seen.unread_count)

    async def ListConversations(
        self, request: pb.ListConversationsRequest, context: Context
    ) -> pb.ListConversationsResponse:
        asked, place = parse.list_conversations(calls.principal(), request, self._pages)
        page = await self._conversations.list(asked, calls.principal().session_id)
        return pb.ListConversationsResponse(
            conversations=[convert.conversation(seen.conversation) for seen in page.items],
            next_page_token=place.next_token(page, lambda last: (str(last.conversation.id),)),
            unread_counts={str(seen.conversation.id): seen.unread_count for seen in page.items if seen.unread_count},
        )

    async def UpdateConversation(
        self, request: pb.UpdateConversationRequest, context: Context
    ) -> pb.UpdateConversationResponse:
        changed = await self._conversations.update(calls.principal().user_id, parse.update(request))
        return pb.UpdateConversationResponse(conversation=convert.conversation(changed))

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: Context
    ) -> pb.DeleteConversationResponse:
        conversation_id = parse.conversation_id(request.conversation_id)
        deleted = await self._conversations.delete(calls.principal().user_id, conversation_id)
        return pb.DeleteConversationResponse(conversation=convert.conversation(deleted))

    async def UndeleteConversation(
        self, request: pb.UndeleteConversationRequest, context: Context
    ) -> pb.UndeleteConversationResponse:
        conversation_id = parse.conversation_id(request.conversation_id)
        undeleted = await self._conversations.undelete(calls.principal().user_id, conversation_id)
        return pb.UndeleteConversationResponse(conversation=convert.conversation(undeleted))

    async def ListConversationSessions(
        self, request: pb.ListConversationSessionsRequest, context: Context
    ) -> pb.ListConversationSessionsResponse:
        asked, place = parse.list_sessions(calls.principal(), request, self._pages)
        page = await self._links.list(asked)
        return pb.ListConversationSessionsResponse(
            conversation_sessions=map(convert.conversation_session, page.items),
            next_page_token=place.next_token(page, asked.cursor),
        )

    async def MarkRead(self, request: pb.MarkReadRequest, context: Context) -> pb.MarkReadResponse:
        link = await self._links.mark_read(calls.principal(), *parse.mark_read(request))
        return pb.MarkReadResponse(conversation_session=convert.conversation_session(link))

    async def WatchConversation(
        self, request: live_pb2.WatchConversationRequest, context: Context
    ) -> AsyncIterator[live_pb2.WatchConversationResponse]:
        conversation_id, after = live.watch_conversation(request)
        watching = self._live.conversations.watch(calls.principal(), conversation_id, after)
        async with aclosing(watching) as told:
            async for place, event in told:
                yield live.conversation_event(conversation_id, place, event)

    async def WatchConversations(
        self, request: live_pb2.WatchConversationsRequest, context: Context
    ) -> AsyncIterator[live_pb2.WatchConversationsResponse]:
        user_id = calls.principal().user_id
        async with aclosing(self._live.users.watch(user_id, live.watch_conversations(user_id, request))) as told:
            async for time, event in told:
                yield live.conversations_event(user_id, time, event)

    async def SetTyping(self, request: live_pb2.SetTypingRequest, context: Context) -> live_pb2.SetTypingResponse:
        conversation_id = parse.conversation_id(request.conversation_id)
        await self._live.presence.set_typing(calls.principal(), conversation_id, active=request.active)
        return live_pb2.SetTypingResponse()

    async def SearchConversations(
        self, request: search_pb2.SearchConversationsRequest, context: Context
    ) -> search_pb2.SearchConversationsResponse:
        asked, place = parse_search.conversations(calls.principal(), request, self._pages)
        page = await self._searches.conversations(asked)
        token = place.next_token(page, lambda last: last.cursor)
        return search_pb2.SearchConversationsResponse(results=map(hits.conversation, page.items), next_page_token=token)

    def ExportConversations(
        self, request: transfer_pb.ExportConversationsRequest, context: Context
    ) -> AsyncIterator[transfer_pb.ExportConversationsResponse]:
        return self._files.pieces(request)

    def ImportConversations(
        self, request_iterator: AsyncIterator[transfer_pb.ImportConversationsRequest], context: Context
    ) -> AsyncIterator[transfer_pb.ImportConversationsResponse]:
        return self._files.answers(request_iterator)
