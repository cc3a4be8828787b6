"""The contract keeps its own rules: documented, guarded, and the same in the protos, the generated code and README."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import grpc
import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from protos.auth.v1 import errors_pb2 as auth_errors
from protos.chat.v1 import errors_pb2 as chat_errors
from protos.options.v1 import access_pb2
from tools import protos

README = (protos.PROTOS / "README.md").read_text()
TIMESTAMP = ".google.protobuf.Timestamp"
SECRETS = {
    "password",
    "password_hash",
    "challenge_token",
    "totp_code",
    "recovery_code",
    "recovery_codes",
    "passkey_credential_json",
    "access_token",
    "access_tokens",
    "refresh_token",
    "key_text",
    "secret_text",
    "subject_token",
}
STATUS_CODES = {code.name for code in grpc.StatusCode}
SHARED_REASONS = range(1, 100)
CREATING = re.compile(r"(SignUp|Create\w+|SendMessage|Record\w+)Request")
REASON_ROW = re.compile(r"^\| `(?P<reason>[A-Z_]+)` \| (?P<services>[a-z, ]+) \| `(?P<code>[A-Z_]+)` \|", re.MULTILINE)


class Element(NamedTuple):
    """Anything in a proto that can carry a comment, by its full name."""

    name: str
    comment: str


@cache
def files() -> Sequence[FileDescriptorProto]:
    """Our own protos with their comments, as protoc reads them now."""
    with TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        protos.write_image(image, comments=True)
        everything = FileDescriptorSet.FromString(image.read_bytes()).file
    return [file for file in everything if file.name.startswith("protos/")]


def messages() -> Iterator[DescriptorProto]:
    return (message for file in files() for message in file.message_type)


def methods() -> Iterator[tuple[str, MethodDescriptorProto]]:
    for file in files():
        for service in file.service:
            yield from ((f"{file.package}.{service.name}/{method.name}", method) for method in service.method)


def comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The comment before each element, by the path that descriptor.proto gives it."""
    return {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}


def elements(file: FileDescriptorProto) -> Iterator[Element]:
    """Every element of *file*; the numbers are those of the fields of descriptor.proto."""
    found = comments(file)
    yield Element(f"{file.name}: syntax", found.get((12,), ""))
    for number, service in enumerate(file.service):
        yield Element(service.name, found.get((6, number), ""))
        for rpc, method in enumerate(service.method):
            yield Element(f"{service.name}.{method.name}", found.get((6, number, 2, rpc), ""))
    for number, message in enumerate(file.message_type):
        yield from message_elements(message, (4, number), found)
    for number, enum in enumerate(file.enum_type):
        yield from enum_elements(enum, (5, number), found)
    for number, extension in enumerate(file.extension):
        yield Element(extension.name, found.get((7, number), ""))


def message_elements(
    message: DescriptorProto, path: tuple[int, ...], found: dict[tuple[int, ...], str]
) -> Iterator[Element]:
    yield Element(message.name, found.get(path, ""))
    for number, field in enumerate(message.field):
        yield Element(f"{message.name}.{field.name}", found.get((*path, 2, number), ""))
    for number, oneof in enumerate(message.oneof_decl):
        if not oneof.name.startswith("_"):  # `optional` is a oneof too, which nobody wrote
            yield Element(f"{message.name}.{oneof.name}", found.get((*path, 8, number), ""))
    for number, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:  # the pair that a map is made of, which nobody wrote either
            yield from message_elements(nested, (*path, 3, number), found)
    for number, enum in enumerate(message.enum_type):
        yield from enum_elements(enum, (*path, 4, number), found)


def enum_elements(
    enum: EnumDescriptorProto, path: tuple[int, ...], found: dict[tuple[int, ...], str]
) -> Iterator[Element]:
    yield Element(enum.name, found.get(path, ""))
    for number, value in enumerate(enum.value):
        yield Element(f"{enum.name}.{value.name}", found.get((*path, 2, number), ""))


def reason_codes(package: str) -> dict[str, str]:
    """Each error reason of *package* as it is on the wire, and the status code its comment names."""
    file = next(file for file in files() if file.package == package and file.name.endswith("/errors.proto"))
    prefix = "ErrorReason.ERROR_REASON_"
    documented = {element.name.removeprefix(prefix): element.comment for element in elements(file)}
    return {
        name: comment.partition(".")[0]
        for name, comment in documented.items()
        if f"ERROR_REASON_{name}" in (value.name for value in file.enum_type[0].value) and name != "UNSPECIFIED"
    }


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.protos", *arguments]
    return subprocess.run(command, cwd=protos.ROOT, capture_output=True, text=True, check=False)


def test_every_element_has_a_comment_that_is_a_sentence() -> None:
    found = [element for file in files() for element in elements(file)]
    assert len(found) > 300
    assert [element.name for element in found if not element.comment.endswith(".")] == []


def test_every_rpc_declares_its_access() -> None:
    declared = {name: method.options.Extensions[access_pb2.access] for name, method in methods()}
    assert declared["auth.v1.AdminService/BatchGetUsers"] == access_pb2.ACCESS_SERVICE
    assert [name for name, access in declared.items() if access == access_pb2.ACCESS_UNSPECIFIED] == []


def test_what_needs_no_token_is_a_short_list() -> None:
    public = {
        name for name, method in methods() if method.options.Extensions[access_pb2.access] == access_pb2.ACCESS_PUBLIC
    }
    open_calls = ("SignUp", "LogIn", "CompleteLogIn", "RefreshToken", "VerifyToken", "BatchVerifyTokens", "GetJwks")
    by_passkey = ("BeginPasskeyLogIn", "FinishPasskeyLogIn", "IssueServiceToken")
    by_mail = (
        "VerifyEmail",
        "RequestPasswordReset",
        "ResetPassword",
        "RequestLogInLink",
        "LogInWithLink",
        "ConfirmEmailChange",
        "RestoreAccount",
    )
    assert public == {f"auth.v1.AuthService/{name}" for name in (*open_calls, *by_passkey, *by_mail)}


def test_what_tells_of_other_peoples_tokens_stays_inside_the_network() -> None:
    internal = {name for name, method in methods() if method.options.Extensions[access_pb2.internal]}
    assert {"auth.v1.AuthService/VerifyToken", "auth.v1.AuthService/BatchVerifyTokens"} <= internal


@pytest.mark.parametrize("package", ["auth.v1", "chat.v1"])
def test_every_error_reason_names_its_status_code_first(package: str) -> None:
    codes = reason_codes(package)
    assert len(codes) > len(SHARED_REASONS) // 10
    assert {name: code for name, code in codes.items() if code not in STATUS_CODES} == {}


def test_both_services_mean_the_same_by_a_shared_reason() -> None:
    auth, chat = (
        {name: number for name, number in errors.ErrorReason.items() if number in SHARED_REASONS}
        for errors in (auth_errors, chat_errors)
    )
    assert auth == chat
    codes = reason_codes("auth.v1"), reason_codes("chat.v1")
    names = [name.removeprefix("ERROR_REASON_") for name in auth]
    assert [codes[0][name] for name in names] == [codes[1][name] for name in names]


def test_rpcs_name_only_reasons_that_exist() -> None:
    for file in files():
        for service in file.service:
            known = reason_codes(file.package)
            named = {
                word
                for element in elements(file)
                if element.name.startswith(f"{service.name}.")
                for word in re.findall(r"\b[A-Z]{4,}(?:_[A-Z]+)*\b", element.comment.partition("Errors:")[2])
            }
            assert named <= known.keys()


def test_the_readme_lists_every_error_reason_with_its_code_and_services() -> None:
    packages = {"auth": reason_codes("auth.v1"), "chat": reason_codes("chat.v1")}
    listed = {
        (service, row["reason"], row["code"])
        for row in REASON_ROW.finditer(README)
        for service in row["services"].split(", ")
    }
    assert listed == {(service, reason, code) for service, codes in packages.items() for reason, code in codes.items()}


def test_the_readme_lists_every_rpc_under_its_access() -> None:
    listed = {
        (service, rpc, access)
        for service, access, rpcs in re.findall(r"^\| `([a-z0-9.]+\w+)` \| ([A-Z]+) \| (.+) \|$", README, re.MULTILINE)
        for rpc in re.findall(r"`(\w+)`", rpcs)
    }
    declared = {
        (*name.split("/"), access_pb2.Access.Name(method.options.Extensions[access_pb2.access]).removeprefix("ACCESS_"))
        for name, method in methods()
    }
    assert listed == declared


def test_every_page_is_asked_for_and_answered_alike() -> None:
    fields = {message.name: {field.name for field in message.field} for message in messages()}
    lists = [name.removesuffix("Request") for name in fields if re.fullmatch(r"List\w+Request", name)]
    assert len(lists) > 5
    assert [name for name in lists if not {"page_size", "page_token"} <= fields[f"{name}Request"]] == []
    assert [name for name in lists if "next_page_token" not in fields[f"{name}Response"]] == []


def test_every_rpc_that_creates_takes_a_request_id() -> None:
    creating = [message for message in messages() if CREATING.fullmatch(message.name)]
    assert len(creating) == 9
    assert [message.name for message in creating if "request_id" not in {field.name for field in message.field}] == []


def test_a_time_is_a_timestamp_and_is_called_one() -> None:
    def misnamed(field: FieldDescriptorProto) -> bool:
        return (field.type_name == TIMESTAMP) != field.name.endswith("_time")

    assert [
        f"{message.name}.{field.name}" for message in messages() for field in message.field if misnamed(field)
    ] == []


def test_every_secret_is_marked_for_redaction() -> None:
    secrets = [(message.name, field) for message in messages() for field in message.field if field.name in SECRETS]
    assert len(secrets) >= len(SECRETS)
    assert [f"{message}.{field.name}" for message, field in secrets if not field.options.debug_redact] == []


def test_a_stream_that_lasts_for_a_user_ends_with_the_users_session() -> None:
    watches = {
        name: method.options.Extensions[access_pb2.lasting]
        for name, method in methods()
        if "/Watch" in name and method.options.Extensions[access_pb2.access] == access_pb2.ACCESS_USER
    }
    assert len(watches) >= 2
    assert [name for name, lasting in watches.items() if not lasting] == []


def test_the_committed_code_is_what_the_protos_give() -> None:
    assert list(protos.stale()) == []


@pytest.mark.parametrize("flag", ["--check", "--lint", "--breaking"])
def test_the_tool_finds_nothing_wrong(flag: str) -> None:
    outcome = run_tool(flag)
    assert (outcome.returncode, outcome.stdout + outcome.stderr) == (0, "")
