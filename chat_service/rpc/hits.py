"""What search found, into messages."""

from chat_service.rpc import convert
from chat_service.search_models import FoundConversation, FoundMessage
from chat_service.snippets import Snippet
from protos.chat.v1 import search_pb2 as pb


def message(model: FoundMessage) -> pb.MessageHit:
    """A message that was found."""
    return pb.MessageHit(message=convert.message(model.message), snippet=_snippet(model.snippet), rank=model.rank)


def conversation(model: FoundConversation) -> pb.ConversationHit:
    """A conversation that was found."""
    found = convert.conversation(model.conversation)
    return pb.ConversationHit(conversation=found, snippet=_snippet(model.snippet), rank=model.rank)


def _snippet(model: Snippet) -> pb.Snippet:
    return pb.Snippet(text=model.text, ranges=[pb.TextRange(begin=begin, end=end) for begin, end in model.ranges])
