"""What browsers and authenticators are asked, and whether they have answered rightly (WebAuthn level 3).

Options and credentials are JSON as a browser's `parseCreationOptionsFromJSON` takes it and `toJSON` gives it.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final

import structlog
import webauthn
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_attestation_object,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from auth_service.models import NewPasskey, PasskeyCredential, PasskeyRow, User

log = structlog.get_logger()

LIFETIME: Final = timedelta(minutes=5)
MAX_CREDENTIAL: Final = 16_384
_TIMEOUT: Final = int(LIFETIME.total_seconds() * 1000)
_UNCOUNTED: Final = 0  # the count is compared where it is stored


class CeremonyFailed(Exception):
    """An answer that is not what was asked for; it never says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelyingParty:
    """For whom passkeys are: a domain, what users call it, and the origins that may ask for them."""

    id: str
    name: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """An authenticator's answer, before it is checked."""

    credential_id: bytes
    challenge: bytes
    user_handle: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asserted:
    """What a right answer says."""

    sign_count: int
    user_verified: bool


def digest(challenge: bytes) -> bytes:
    """What a challenge is found by in the database."""
    return sha256(b"passkey challenge\n" + challenge).digest()


def creation_options(party: RelyingParty, user: User, challenge: bytes, existing: Sequence[PasskeyCredential]) -> str:
    """Asks for a new passkey, which no authenticator is to have already."""
    return webauthn.options_to_json(
        webauthn.generate_registration_options(
            rp_id=party.id,
            rp_name=party.name,
            user_id=user.id.bytes,
            user_name=user.email,
            user_display_name=user.display_name or user.email,
            challenge=challenge,
            timeout=_TIMEOUT,
            exclude_credentials=_descriptors(existing),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.PREFERRED
            ),
        )
    )


def request_options(party: RelyingParty, challenge: bytes, allowed: Sequence[PasskeyCredential], *, alone: bool) -> str:
    """Asks for an answer of one of these passkeys, or of any; `alone` is whether it is the only proof."""
    required = UserVerificationRequirement.REQUIRED if alone else UserVerificationRequirement.PREFERRED
    return webauthn.options_to_json(
        webauthn.generate_authentication_options(
            rp_id=party.id,
            challenge=challenge,
            timeout=_TIMEOUT,
            allow_credentials=_descriptors(allowed),
            user_verification=required,
        )
    )


def read_registration(text: str) -> bytes:
    """The challenge that a new passkey claims to answer; raises CeremonyFailed."""
    try:
        return _challenge(parse_registration_credential_json(text).response.client_data_json)
    except Exception as error:
        raise _failed("registration", error) from None


def read_assertion(text: str) -> Presented:
    """What an answer claims to be; raises CeremonyFailed."""
    try:
        credential = parse_authentication_credential_json(text)
        challenge = _challenge(credential.response.client_data_json)
    except Exception as error:
        raise _failed("assertion", error) from None
    return Presented(
        credential_id=credential.raw_id, challenge=challenge, user_handle=credential.response.user_handle or None
    )


def check_registration(party: RelyingParty, text: str, challenge: bytes) -> NewPasskey:
    """The passkey in an answer; raises CeremonyFailed. Who made the authenticator is not asked."""
    try:
        credential = parse_registration_credential_json(text)
        attestation = parse_attestation_object(credential.response.attestation_object)
        if attestation.fmt not in (AttestationFormat.NONE, AttestationFormat.PACKED):
            raise CeremonyFailed
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
        )
        # One that cannot be read now could not be used later.
        decoded_public_key_to_cryptography(decode_credential_public_key(made.credential_public_key))
    except Exception as error:
        raise _failed("registration", error) from None
    return NewPasskey(
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        transports=tuple(transport.value for transport in credential.response.transports or ()),
        synced=made.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        user_verified=made.user_verified,
    )


def check_assertion(party: RelyingParty, text: str, challenge: bytes, passkey: PasskeyRow) -> Asserted:
    """What a passkey's answer says where it is right; raises CeremonyFailed."""
    try:
        presented = read_assertion(text)
        if presented.user_handle is not None and not hmac.compare_digest(presented.user_handle, passkey.user_id.bytes):
            raise CeremonyFailed
        right = webauthn.verify_authentication_response(
            credential=text,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=passkey.public_key,
            credential_current_sign_count=_UNCOUNTED,
        )
    except Exception as error:
        raise _failed("assertion", error) from None
    return Asserted(sign_count=right.new_sign_count, user_verified=right.user_verified)


def _challenge(client_data: bytes) -> bytes:
    parsed = parse_client_data_json(client_data)
    if parsed.cross_origin:  # asked for by a page inside another one, which may show what it likes around it
        raise CeremonyFailed
    return parsed.challenge


def _descriptors(credentials: Sequence[PasskeyCredential]) -> list[PublicKeyCredentialDescriptor]:
    known = {transport.value for transport in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=each.credential_id,
            transports=[AuthenticatorTransport(name) for name in each.transports if name in known],
        )
        for each in credentials
    ]


def _failed(what: str, error: Exception) -> CeremonyFailed:
    """Whatever goes wrong with what strangers send denies (ASVS 16.5.3), and is told to the operator alone."""
    log.info("passkey refused", ceremony=what, error=type(error).__name__, cause=str(error)[:200])
    return CeremonyFailed()
