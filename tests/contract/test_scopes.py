"""What machines may do is said in the protos, method by method, and nothing else opens anything to them."""

import re
from typing import Any

from google.protobuf.descriptor_pb2 import MethodDescriptorProto

from auth_service import scopes
from protos.options.v1 import access_pb2
from tests.contract.test_protos import README, methods


def option(method: MethodDescriptorProto, extension: Any) -> Any:
    return method.options.Extensions[extension]


def named(*extensions: Any) -> set[str]:
    """The methods that set one of these options, by their names alone."""
    return {name.partition("/")[2] for name, method in methods() for it in extensions if option(method, it)}


def test_every_rpc_of_chat_and_every_one_for_services_names_a_scope() -> None:
    """What is for administrators is closed to who is limited by scopes."""
    nameless = {
        name
        for name, method in methods()
        if not option(method, access_pb2.scope) and option(method, access_pb2.access) != access_pb2.ACCESS_ADMIN
    }
    services = {name for name, method in methods() if option(method, access_pb2.access) == access_pb2.ACCESS_SERVICE}
    assert [name for name in nameless if name.startswith("chat.") or name in services] == []


def test_auth_knows_the_scopes_of_the_protos_and_no_others() -> None:
    """Only these can be given to a key or an account."""
    by_user = {option(m, access_pb2.access) == access_pb2.ACCESS_USER: set[str]() for _, m in methods()}
    for _, method in methods():
        if scope := option(method, access_pb2.scope):
            by_user[option(method, access_pb2.access) == access_pb2.ACCESS_USER].add(scope)
    assert by_user[True] == set(scopes.USER_SCOPES)
    assert by_user[False] == set(scopes.SERVICE_SCOPES)


def test_what_a_person_must_do_in_person_names_no_scope() -> None:
    public = {
        name.partition("/")[2]
        for name, method in methods()
        if option(method, access_pb2.access) == access_pb2.ACCESS_PUBLIC and not option(method, access_pb2.internal)
    }
    in_person = {
        "LogOut",
        "ListSessions",
        "RevokeSession",
        "RevokeOtherSessions",
        "ListApiKeys",
        "RevokeApiKey",
    } | named(access_pb2.step_up)
    assert named(access_pb2.scope) & (public | in_person) == set()


def test_the_readme_lists_every_scope_with_the_rpcs_that_it_opens() -> None:
    rows = re.findall(r"^\| `([a-z]+\.[a-z.]+)` \| ([A-Za-z, ]+) \| (`[A-Z].+) \|$", README, re.MULTILINE)
    listed = {(scope, holders, rpc) for scope, holders, rpcs in rows for rpc in re.findall(r"`(\w+)`", rpcs)}
    user, both, services = access_pb2.ACCESS_USER, "API keys, service accounts", "service accounts"
    declared = {
        (scope, both if option(method, access_pb2.access) == user else services, name.partition("/")[2])
        for name, method in methods()
        if (scope := option(method, access_pb2.scope))
    }
    assert listed == declared
