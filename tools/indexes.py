"""The nineteen indexes that Parley promises by name (docs/database.md), and what each is for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A promised index: who owns it, and the work that it is there for."""

    name: str
    service: str
    purpose: str


_AUTH = {
    "idx_users_email": "sign-up and log-in",
    "idx_user_tokens_user_id_type": "a user's tokens of one type",
    "idx_user_tokens_token": "token validation",
    "idx_user_tokens_expires_revoked": "clean-up",
    "idx_sessions_user_id": "a user's sessions, the newest first",
    "idx_sessions_user_active": "active sessions",
}
_CHAT = {
    "idx_chat_messages_session_id": "what one sign-in wrote",
    "idx_chat_messages_conversation_id": "a page of a conversation's branch",
    "idx_chat_messages_session_order": "a session's messages in order",
    "idx_chat_messages_role": "only the user's, or only the assistant's",
    "idx_components_session_id": "components made in a sign-in",
    "idx_components_current": "the current components of a conversation",
    "idx_components_type": "current components of one type",
    "idx_ai_interactions_session_id": "runs by sign-in",
    "idx_ai_interactions_conversation_id": "runs by conversation",
    "idx_ai_responses_session_id": "answers by sign-in",
    "idx_ai_responses_conversation_id": "answers by conversation",
    "idx_conversation_sessions_session_id": "a sign-in's conversations",
    "idx_conversation_sessions_conversation_id": "a conversation's sign-ins",
}

PROMISED = tuple(
    Index(name=name, service=service, purpose=purpose)
    for service, indexes in (("auth", _AUTH), ("chat", _CHAT))
    for name, purpose in indexes.items()
)
