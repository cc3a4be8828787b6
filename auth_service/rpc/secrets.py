"""The limit on guessing that no method escapes: it is read off the contract, where secrets are marked.

A request field with `debug_redact` is a secret. Every method that takes one is limited here by its caller's address;
what else bounds it, such as a budget of the account, the rules add.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from auth_service.limits import AuthLimits
from shared.errors import Code, ServiceError
from shared.grpc.chain import Proceed, ServedCall

# Answers about others' tokens are what these are for, and nobody guesses a signature or 256 bits.
INTROSPECTION: Final = ("VerifyToken", "BatchVerifyTokens", "ExchangeToken")


def takes_secret(method: MethodDescriptor) -> bool:
    """Whether a method checks a secret that it is given."""
    return method.name not in INTROSPECTION and any(
        field.GetOptions().debug_redact for field in _fields(method.input_type, set())
    )


class LimitGuesses:
    """The interceptor that counts the wrong secrets of an address, and refuses more."""

    def __init__(self, services: Iterable[ServiceDescriptor], limits: AuthLimits) -> None:
        """Find the methods that take a secret."""
        self._limits = limits
        self.methods = {
            f"/{service.full_name}/{method.name}"
            for service in services
            for method in service.methods
            if takes_secret(method)
        }

    async def __call__(self, served: ServedCall, proceed: Proceed) -> None:
        """Let the call proceed while its address may fail, and count its failure."""
        method, address = served.call.method, served.call.address
        if method not in self.methods:
            await proceed()
            return
        await self._limits.admit_secret(method, address)
        try:
            await proceed()
        except ServiceError as error:
            if error.code is Code.UNAUTHENTICATED:
                await self._limits.count_wrong_secret(method, address)
            raise


def _fields(message: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """The fields of a message and of the messages in it."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        yield field
        if field.message_type is not None:
            yield from _fields(field.message_type, seen)
