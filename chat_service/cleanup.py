"""What chat does in the background: conversations go for good after their purge_time, what is in them first."""

from chat_service.store import (
    ai_interactions,
    ai_responses,
    chat_messages,
    component_versions,
    components,
    conversation_branches,
    conversation_sessions,
    conversations,
)
from shared.cleanup import CleanUp


def tasks() -> list[CleanUp]:
    """One for each table. Each waits until what refers to its rows has gone."""
    queries = (
        chat_messages.queries.delete_purged,
        component_versions.queries.delete_purged,
        components.queries.delete_purged,
        ai_responses.queries.delete_purged,
        ai_interactions.queries.delete_purged,
        conversation_branches.queries.delete_purged,
        conversation_sessions.queries.delete_purged,
        conversations.queries.delete_purged,
    )
    return [CleanUp(query=query) for query in queries]
