"""chat.v1.MessageService."""

from typing import Any

from grpc.aio import ServicerContext

from chat_service.messages import Messages
from chat_service.rpc import convert
from chat_service.rpc.pages import Pages
from chat_service.rpc.parse import messages as parse
from protos.chat.v1 import message_service_pb2 as pb
from protos.chat.v1 import message_service_pb2_grpc
from shared import calls

Context = ServicerContext[Any, Any]


class MessageService(message_service_pb2_grpc.MessageServiceServicer):
    """The messages of the caller's conversations."""

    def __init__(self, messages: Messages, pages: Pages) -> None:
        """Serve with these rules."""
        self._messages, self._pages = messages, pages

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        appended = await self._messages.send(parse.send(calls.principal(), request))
        return pb.SendMessageResponse(message=convert.message(appended))

    async def BatchSendMessages(
        self, request: pb.BatchSendMessagesRequest, context: Context
    ) -> pb.BatchSendMessagesResponse:
        appended = await self._messages.send_batch(parse.send_batch(calls.principal(), request))
        return pb.BatchSendMessagesResponse(messages=map(convert.message, appended))

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        found = await self._messages.get(calls.principal().user_id, parse.message_id(request))
        return pb.GetMessageResponse(message=convert.message(found))

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        asked, place = parse.list_messages(calls.principal(), request, self._pages)
        page = await self._messages.list(asked)
        response = pb.ListMessagesResponse(next_page_token=place.next_token(page, asked.cursor))
        for message in page.items:
            convert.message(message, response.messages.add)
        return response
