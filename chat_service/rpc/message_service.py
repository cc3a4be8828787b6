"""chat.v1.MessageService."""

from functools import partial
from typing import Any

from grpc.aio import ServicerContext

from chat_service.branches import Branches
from chat_service.messages import Messages
from chat_service.rpc import convert, hits
from chat_service.rpc.pages import Pages
from chat_service.rpc.parse import branches as parse_branches
from chat_service.rpc.parse import messages as parse
from chat_service.rpc.parse import searches as parse_search
from chat_service.searches import Searches
from protos.chat.v1 import branches_pb2, message_service_pb2_grpc, search_pb2
from protos.chat.v1 import message_service_pb2 as pb
from shared import calls

Context = ServicerContext[Any, Any]


class MessageService(message_service_pb2_grpc.MessageServiceServicer):
    """The messages of the caller's conversations."""

    def __init__(self, messages: Messages, branches: Branches, searches: Searches, pages: Pages) -> None:
        """Serve with these rules."""
        self._messages, self._branches, self._searches, self._pages = messages, branches, searches, pages

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        appended = await self._messages.send(parse.send(calls.principal(), request))
        return pb.SendMessageResponse(message=convert.message(appended))

    async def BatchSendMessages(
        self, request: pb.BatchSendMessagesRequest, context: Context
    ) -> pb.BatchSendMessagesResponse:
        appended = await self._messages.send_batch(parse.send_batch(calls.principal(), request))
        return pb.BatchSendMessagesResponse(messages=map(convert.message, appended))

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        found = await self._messages.get(calls.principal().user_id, parse.message_id(request.message_id))
        return pb.GetMessageResponse(message=convert.message(found))

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        asked, place = parse.list_messages(calls.principal(), request, self._pages)
        page = await self._messages.list(asked)
        response = pb.ListMessagesResponse(next_page_token=place.next_token(page, partial(asked.cursor, page.branch)))
        for message in page.items:
            convert.message(message, response.messages.add)
        return response

    async def EditMessage(
        self, request: branches_pb2.EditMessageRequest, context: Context
    ) -> branches_pb2.EditMessageResponse:
        written = await self._branches.edit(parse_branches.edit(calls.principal(), request))
        return branches_pb2.EditMessageResponse(message=convert.message(written))

    async def DeleteMessage(self, request: pb.DeleteMessageRequest, context: Context) -> pb.DeleteMessageResponse:
        deleted = await self._messages.delete(calls.principal().user_id, parse.message_id(request.message_id))
        return pb.DeleteMessageResponse(message=convert.message(deleted))

    async def SetFeedback(self, request: pb.SetFeedbackRequest, context: Context) -> pb.SetFeedbackResponse:
        rated = await self._messages.set_feedback(calls.principal().user_id, *parse.set_feedback(request))
        return pb.SetFeedbackResponse(message=convert.message(rated))

    async def SwitchBranch(
        self, request: branches_pb2.SwitchBranchRequest, context: Context
    ) -> branches_pb2.SwitchBranchResponse:
        switched = await self._branches.switch(calls.principal().user_id, *parse_branches.switch(request))
        return branches_pb2.SwitchBranchResponse(conversation=convert.conversation(switched))

    async def ListBranches(
        self, request: branches_pb2.ListBranchesRequest, context: Context
    ) -> branches_pb2.ListBranchesResponse:
        asked, place = parse_branches.list_branches(calls.principal(), request, self._pages)
        page = await self._branches.list(asked)
        token = place.next_token(page, lambda last: (last.branch,))
        return branches_pb2.ListBranchesResponse(branches=map(convert.branch, page.items), next_page_token=token)

    async def SearchMessages(
        self, request: search_pb2.SearchMessagesRequest, context: Context
    ) -> search_pb2.SearchMessagesResponse:
        asked, place = parse_search.messages(calls.principal(), request, self._pages)
        page = await self._searches.messages(asked)
        token = place.token_at(page.after.cursor if page.after else None)
        return search_pb2.SearchMessagesResponse(results=map(hits.message, page.items), next_page_token=token)
