"""The rules of components."""

from uuid import UUID

from chat_service.diffs import Diff, Differ
from chat_service.errors import ComponentNotFound, ComponentVersionNotFound
from chat_service.hints import Hints
from chat_service.models import (
    Component,
    ComponentChange,
    ComponentList,
    ComponentRestoration,
    ComponentVersion,
    ComponentVersionPair,
    NewComponent,
    Page,
)
from chat_service.store import component_versions, conversations
from chat_service.store import components as store
from shared.db import Database, Executor
from shared.errors import EtagMismatch, RequestIdReused


class Components:
    """Makes, shows, changes and deletes components. Each change holds the lock of the conversation."""

    def __init__(self, database: Database, hints: Hints) -> None:
        """Keep the components in this database."""
        self._database, self._hints, self._differ = database, hints, Differ()

    async def create(self, new: NewComponent) -> Component:
        """Make one; a repeat of the request gets the one that the first made, as it is now."""
        first = await self._first_answer(self._database, new)
        if first is not None:
            return first
        async with self._database.transaction() as tx:
            await conversations.lock(tx, new.user_id, new.conversation_id)
            made = await self._first_answer(tx, new) or await store.insert(tx, new)
        return self._tell(new.user_id, made)

    async def get(self, user_id: UUID, component_id: UUID) -> Component:
        """One at its current version, also a deleted one."""
        return await _find(self._database, user_id, component_id)

    async def list(self, asked: ComponentList) -> Page[Component]:
        """A page, the newest first."""
        return await store.list_page(self._database, asked)

    async def update(self, change: ComponentChange) -> Component:
        """Add a version, if the component is still at the one the change was made from and its content differs."""
        before = await _find(self._database, change.user_id, change.id)
        async with self._database.transaction() as tx:
            await conversations.lock(tx, change.user_id, before.conversation_id)
            current = await _find_in_use(tx, change.user_id, change.id)
            if current.version != change.from_version:
                raise EtagMismatch
            changed = await _write(tx, current, change)
        return self._tell(change.user_id, changed)

    async def restore(self, wanted: ComponentRestoration) -> Component:
        """Add a version with the content of an earlier one, if the current content differs."""
        before = await _find(self._database, wanted.user_id, wanted.id)
        async with self._database.transaction() as tx:
            await conversations.lock(tx, wanted.user_id, before.conversation_id)
            current = await _find_in_use(tx, wanted.user_id, wanted.id)
            if wanted.from_version not in (None, current.version):
                raise EtagMismatch
            version = await component_versions.find(tx, wanted.user_id, wanted.id, wanted.version)
            if version is None:
                raise ComponentVersionNotFound
            change = ComponentChange(
                id=wanted.id,
                user_id=wanted.user_id,
                session_id=wanted.session_id,
                content=version.content,
                from_version=current.version,
            )
            restored = await _write(tx, current, change)
        return self._tell(wanted.user_id, restored)

    async def diff(
        self, user_id: UUID, component_id: UUID, former: int, latter: int
    ) -> tuple[ComponentVersionPair, Diff]:
        """What differs between two versions; 0 is the current one as the latter, and the one before as the former."""
        pair = await component_versions.find_pair(self._database, user_id, component_id, former, latter)
        if pair is None:
            raise ComponentVersionNotFound
        texts = (f"version {pair.former}", pair.former_content), (f"version {pair.latter}", pair.latter_content)
        return pair, await self._differ.compare(*texts)

    async def delete(self, user_id: UUID, component_id: UUID) -> Component:
        """Delete one; one that is deleted stays as it is."""
        before = await _find(self._database, user_id, component_id)
        async with self._database.transaction() as tx:
            await conversations.lock(tx, user_id, before.conversation_id)
            current = await _find(tx, user_id, component_id)
            deleted = current if current.delete_time is not None else await store.delete(tx, user_id, current)
        return self._tell(user_id, deleted)

    async def get_version(self, user_id: UUID, component_id: UUID, version: int) -> ComponentVersion:
        """One version."""
        found = await component_versions.find(self._database, user_id, component_id, version)
        if found is None:
            await _find(self._database, user_id, component_id)
            raise ComponentVersionNotFound
        return found

    async def list_versions(
        self, user_id: UUID, component_id: UUID, after: int | None, size: int
    ) -> Page[ComponentVersion]:
        """A page of a component's versions, the newest first."""
        return await component_versions.list_page(self._database, user_id, component_id, after, size)

    def _tell(self, user_id: UUID, written: Component) -> Component:
        self._hints.changed(user_id, written.conversation_id, written.revision)
        return written

    async def _first_answer(self, executor: Executor, new: NewComponent) -> Component | None:
        if new.request_id is None:
            return None
        first = await store.find_by_request_id(executor, new)
        if first is None:
            return None
        component_id, same = first
        if not same:
            raise RequestIdReused
        return await _find(executor, new.user_id, component_id)


async def _find(executor: Executor, user_id: UUID, component_id: UUID) -> Component:
    found = await store.find(executor, user_id, component_id)
    if found is None:
        raise ComponentNotFound
    return found


async def _find_in_use(executor: Executor, user_id: UUID, component_id: UUID) -> Component:
    found = await _find(executor, user_id, component_id)
    if found.delete_time is not None:
        raise ComponentNotFound
    return found


async def _write(tx: Executor, current: Component, change: ComponentChange) -> Component:
    return current if current.content == change.content else await store.update(tx, current, change)
