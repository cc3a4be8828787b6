"""The failures that are chat's own; `protos/chat/v1/errors.proto` tells callers what to do about each."""

from shared.errors import Code, ServiceError


class ConversationNotFound(ServiceError):
    """There is no such conversation."""

    code = Code.NOT_FOUND


class ConversationDeleted(ServiceError):
    """The conversation is deleted and takes no changes: undelete it first."""

    code = Code.FAILED_PRECONDITION


class TooManyStreams(ServiceError):
    """The user has as many streams open as they may: end one, or wait."""

    code = Code.RESOURCE_EXHAUSTED


class CursorUnknown(ServiceError):
    """The cursor is of a state that the conversation never reached: begin anew without one."""

    code = Code.FAILED_PRECONDITION


class MessageNotFound(ServiceError):
    """There is no such message."""

    code = Code.NOT_FOUND


class MessageDeleted(ServiceError):
    """The message is deleted and takes no changes."""

    code = Code.FAILED_PRECONDITION


class BranchNotFound(ServiceError):
    """The conversation has no such branch."""

    code = Code.NOT_FOUND


class TooManyBranches(ServiceError):
    """The conversation has as many branches as it may have."""

    code = Code.FAILED_PRECONDITION


class ComponentNotFound(ServiceError):
    """There is no such component."""

    code = Code.NOT_FOUND


class ComponentVersionNotFound(ServiceError):
    """The component has no such version."""

    code = Code.NOT_FOUND


class ComponentNameTaken(ServiceError):
    """The conversation has a component of this name: update that one, or choose another name."""

    code = Code.ALREADY_EXISTS


class InteractionNotFound(ServiceError):
    """There is no such interaction."""

    code = Code.NOT_FOUND


class ConversationBusy(ServiceError):
    """An answer is being written in the conversation: wait for it, cancel it, or ask with another busy_policy."""

    code = Code.FAILED_PRECONDITION


class ProviderNotConfigured(ServiceError):
    """The service has no model to ask: its operator has to name one."""

    code = Code.FAILED_PRECONDITION


class ModelNotOffered(ServiceError):
    """The service offers no model of this name."""

    code = Code.FAILED_PRECONDITION


class QuotaExceeded(ServiceError):
    """You have had as many answers, or as many tokens, as you may in a while: wait."""

    code = Code.RESOURCE_EXHAUSTED
