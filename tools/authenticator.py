"""A software authenticator with discoverable ES256 passkeys, and the browser around it, for the demo and the tests.

It answers the JSON that BeginPasskeyRegistration and the log-ins give as a browser's
`navigator.credentials.create(…).toJSON()` and `.get(…).toJSON()` do (WebAuthn level 3).
"""

import base64
import json
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

_PRESENT: Final = 0x01
_VERIFIED: Final = 0x04
_MAY_BE_COPIED: Final = 0x08
_ATTESTED: Final = 0x40
_MODEL: Final = bytes(16)
_ES256: Final = -7

Json = Mapping[str, Any]


@dataclass(slots=True)
class Credential:
    """One passkey in the authenticator."""

    id: bytes
    relying_party: str
    user_handle: bytes
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    count: int = 0


class NoSuchPasskey(Exception):
    """The authenticator has none that the site would take."""


@dataclass(slots=True)
class Authenticator:
    """Makes passkeys and signs with them, at a page of the origin.

    `verifies` is whether it makes sure of its user, `counts` whether it counts signatures, and `synced` whether its
    passkeys can be copied to other devices.
    """

    origin: str
    verifies: bool = True
    counts: bool = True
    synced: bool = False
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options_json: str) -> str:
        """Answer the question for a new passkey."""
        options: Json = json.loads(options_json)
        excluded = {item["id"] for item in options.get("excludeCredentials", ())}
        if excluded & {_encode(credential.id) for credential in self.credentials}:
            raise NoSuchPasskey
        made = Credential(
            id=secrets.token_bytes(32),
            relying_party=options["rp"]["id"],
            user_handle=_decode(options["user"]["id"]),
            key=ec.generate_private_key(ec.SECP256R1()),
        )
        self.credentials.append(made)
        client_data = self._client_data("webauthn.create", options)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": self._data(made, attested=True)})
        return self._answer(
            made,
            clientDataJSON=_encode(client_data),
            attestationObject=_encode(attestation),
            transports=["hybrid", "internal"] if self.synced else ["usb"],
        )

    def get(self, options_json: str) -> str:
        """Answer the question for a passkey that is there."""
        options: Json = json.loads(options_json)
        chosen = self._choose(options)
        chosen.count += self.counts
        client_data, data = self._client_data("webauthn.get", options), self._data(chosen)
        signature = chosen.key.sign(data + sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            chosen,
            clientDataJSON=_encode(client_data),
            authenticatorData=_encode(data),
            signature=_encode(signature),
            userHandle=_encode(chosen.user_handle),
        )

    def _choose(self, options: Json) -> Credential:
        allowed = {item["id"] for item in options.get("allowCredentials", ())}
        for credential in reversed(self.credentials):
            if credential.relying_party == options["rpId"] and (not allowed or _encode(credential.id) in allowed):
                return credential
        raise NoSuchPasskey

    def _client_data(self, kind: str, options: Json) -> bytes:
        data = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(data).encode()

    def _data(self, credential: Credential, *, attested: bool = False) -> bytes:
        """Authenticator data (WebAuthn section 6.1)."""
        flags = _PRESENT | (_VERIFIED if self.verifies else 0) | (_MAY_BE_COPIED if self.synced else 0)
        flags |= _ATTESTED if attested else 0
        data = sha256(credential.relying_party.encode()).digest() + struct.pack(">BI", flags, credential.count)
        if not attested:
            return data
        return (
            data + _MODEL + struct.pack(">H", len(credential.id)) + credential.id + _cose(credential.key.public_key())
        )

    def _answer(self, credential: Credential, **response: str | list[str]) -> str:
        name = _encode(credential.id)
        answer = {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
        return json.dumps(answer)


def _cose(key: ec.EllipticCurvePublicKey) -> bytes:
    """A P-256 key as a COSE_Key (RFC 9053 section 7.1)."""
    numbers = key.public_numbers()
    return cbor2.dumps({1: 2, 3: _ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
