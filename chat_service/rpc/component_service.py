"""chat.v1.ComponentService."""

from typing import Any

from grpc.aio import ServicerContext

from chat_service.components import Components
from chat_service.rpc import convert
from chat_service.rpc.pages import Pages
from chat_service.rpc.parse import components as parse
from protos.chat.v1 import component_service_pb2 as pb
from protos.chat.v1 import component_service_pb2_grpc
from shared import calls

Context = ServicerContext[Any, Any]


class ComponentService(component_service_pb2_grpc.ComponentServiceServicer):
    """The components of the caller's conversations."""

    def __init__(self, components: Components, pages: Pages) -> None:
        """Serve with these rules."""
        self._components, self._pages = components, pages

    async def CreateComponent(self, request: pb.CreateComponentRequest, context: Context) -> pb.CreateComponentResponse:
        made = await self._components.create(parse.create(calls.principal(), request))
        return pb.CreateComponentResponse(component=convert.component(made))

    async def GetComponent(self, request: pb.GetComponentRequest, context: Context) -> pb.GetComponentResponse:
        found = await self._components.get(calls.principal().user_id, parse.component_id(request.component_id))
        return pb.GetComponentResponse(component=convert.component(found))

    async def ListComponents(self, request: pb.ListComponentsRequest, context: Context) -> pb.ListComponentsResponse:
        asked, place = parse.list_components(calls.principal(), request, self._pages)
        page = await self._components.list(asked)
        token = place.next_token(page, lambda last: (str(last.id),))
        return pb.ListComponentsResponse(components=map(convert.component, page.items), next_page_token=token)

    async def UpdateComponent(self, request: pb.UpdateComponentRequest, context: Context) -> pb.UpdateComponentResponse:
        changed = await self._components.update(parse.update(calls.principal(), request))
        return pb.UpdateComponentResponse(component=convert.component(changed))

    async def ListComponentVersions(
        self, request: pb.ListComponentVersionsRequest, context: Context
    ) -> pb.ListComponentVersionsResponse:
        principal = calls.principal()
        component_id, place = parse.list_versions(principal, request, self._pages)
        page = await self._components.list_versions(principal.user_id, component_id, place.after_number, place.size)
        token = place.next_token(page, lambda last: (last.version,))
        versions = map(convert.component_version, page.items)
        return pb.ListComponentVersionsResponse(component_versions=versions, next_page_token=token)

    async def GetComponentVersion(
        self, request: pb.GetComponentVersionRequest, context: Context
    ) -> pb.GetComponentVersionResponse:
        found = await self._components.get_version(calls.principal().user_id, *parse.get_version(request))
        return pb.GetComponentVersionResponse(component_version=convert.component_version(found))

    async def DiffComponentVersions(
        self, request: pb.DiffComponentVersionsRequest, context: Context
    ) -> pb.DiffComponentVersionsResponse:
        pair, diff = await self._components.diff(*parse.diff(calls.principal(), request))
        return convert.diff(pair, diff)

    async def RestoreComponentVersion(
        self, request: pb.RestoreComponentVersionRequest, context: Context
    ) -> pb.RestoreComponentVersionResponse:
        restored = await self._components.restore(parse.restore(calls.principal(), request))
        return pb.RestoreComponentVersionResponse(component=convert.component(restored))

    async def DeleteComponent(self, request: pb.DeleteComponentRequest, context: Context) -> pb.DeleteComponentResponse:
        deleted = await self._components.delete(calls.principal().user_id, parse.component_id(request.component_id))
        return pb.DeleteComponentResponse(component=convert.component(deleted))
