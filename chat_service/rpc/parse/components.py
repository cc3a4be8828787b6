"""The requests of chat.v1.ComponentService."""

from typing import Final
from uuid import UUID

from chat_service.models import ComponentChange, ComponentList, ComponentRestoration, NewComponent
from chat_service.rpc.convert import component_version_of
from chat_service.rpc.pages import Pages, Place
from protos.chat.v1 import component_service_pb2 as pb
from shared.calls import Principal
from shared.validation import Violations

_MAX_NAME: Final = 200
_MAX_TYPE: Final = 100
_MAX_CONTENT_BYTES: Final = 1_000_000
_WRITABLE: Final = ("content",)


def create(principal: Principal, request: pb.CreateComponentRequest) -> NewComponent:
    """The component to make."""
    violations = Violations()
    wanted = request.component
    new = NewComponent(
        user_id=principal.user_id,
        conversation_id=violations.id("component.conversation_id", wanted.conversation_id),
        session_id=principal.session_id,
        name=violations.text("component.name", wanted.name, shortest=1, longest=_MAX_NAME),
        type=violations.text("component.type", wanted.type, shortest=1, longest=_MAX_TYPE),
        content=_content(violations, wanted.content),
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return new


def component_id(text: str) -> UUID:
    """The component that a request names."""
    violations = Violations()
    parsed = violations.id("component_id", text)
    violations.done()
    return parsed


def list_components(
    principal: Principal, request: pb.ListComponentsRequest, pages: Pages
) -> tuple[ComponentList, Place]:
    """Which components, and where the page is."""
    violations = Violations()
    conversation = violations.optional_id("conversation_id", request.conversation_id)
    session = violations.optional_id("session_id", request.session_id)
    if conversation is session is None:
        violations.add("conversation_id", "must be set, or session_id must be")
    kind = violations.text("type", request.type, longest=_MAX_TYPE) or None
    scope = ("ListComponents", principal.user_id, conversation, session, request.type, request.show_deleted)
    place = pages.read(violations, request, *scope)
    violations.done()
    asked = ComponentList(
        user_id=principal.user_id,
        conversation_id=conversation,
        session_id=session,
        type=kind,
        show_deleted=request.show_deleted,
        after=place.after_id,
        size=place.size,
    )
    return asked, place


def update(principal: Principal, request: pb.UpdateComponentRequest) -> ComponentChange:
    """The content to write."""
    violations = Violations()
    wanted = request.component
    violations.mask(request.update_mask.paths, _WRITABLE, _WRITABLE)
    if not wanted.etag:
        violations.add("component.etag", "must be set")
    change = ComponentChange(
        id=violations.id("component.id", wanted.id),
        user_id=principal.user_id,
        session_id=principal.session_id,
        content=_content(violations, wanted.content),
        from_version=component_version_of(wanted.etag),
    )
    violations.done()
    return change


def list_versions(principal: Principal, request: pb.ListComponentVersionsRequest, pages: Pages) -> tuple[UUID, Place]:
    """Of which component, and where the page is."""
    violations = Violations()
    component = violations.id("component_id", request.component_id)
    place = pages.read(violations, request, "ListComponentVersions", principal.user_id, component)
    violations.done()
    return component, place


def get_version(request: pb.GetComponentVersionRequest) -> tuple[UUID, int]:
    """The component and the version's number."""
    violations = Violations()
    component = violations.id("component_id", request.component_id)
    if request.version < 1:
        violations.add("version", "must be at least 1")
    violations.done()
    return component, request.version


def restore(principal: Principal, request: pb.RestoreComponentVersionRequest) -> ComponentRestoration:
    """The version to restore."""
    violations = Violations()
    if request.version < 1:
        violations.add("version", "must be at least 1")
    wanted = ComponentRestoration(
        id=violations.id("component_id", request.component_id),
        user_id=principal.user_id,
        session_id=principal.session_id,
        version=request.version,
        from_version=component_version_of(request.etag) if request.etag else None,
    )
    violations.done()
    return wanted


def diff(principal: Principal, request: pb.DiffComponentVersionsRequest) -> tuple[UUID, UUID, int, int]:
    """Whose component, which, and the two versions."""
    violations = Violations()
    component = violations.id("component_id", request.component_id)
    for field in ("from_version", "to_version"):
        if getattr(request, field) < 0:
            violations.add(field, "must not be negative")
    violations.done()
    return principal.user_id, component, request.from_version, request.to_version


def _content(violations: Violations, content: str) -> str:
    if "\0" in content:
        violations.add("component.content", "must not contain U+0000")
    elif len(content.encode()) > _MAX_CONTENT_BYTES:
        violations.add("component.content", f"must have at most {_MAX_CONTENT_BYTES} bytes of UTF-8")
    return content
