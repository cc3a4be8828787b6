"""The secrets of API keys and client secrets: derived from their ids, so that a repeated request gets the same again.

The database has digests alone, and nothing in it makes a secret: the key that they are derived with is not there. A
secret goes on counting when that key is replaced, for it is checked by its digest.
"""

from uuid import UUID

from auth_service.models import Session, SessionKind
from shared import machine_secrets
from shared.crypto import MacKeys


class MachineSecrets:
    """Writes the texts of secrets."""

    def __init__(self, keys: MacKeys) -> None:
        """Derive with keys of their own."""
        self._keys = keys

    def write(self, kind: SessionKind, session_id: UUID) -> tuple[str, bytes]:
        """The text of a new credential's secret, and its digest."""
        return machine_secrets.write(kind, session_id, self._keys.mac(_message(kind, session_id)))

    def write_again(self, session: Session) -> str | None:
        """The text of a credential that was made before; None once the key that it was derived with is gone."""
        for secret in self._keys.tags(_message(session.kind, session.id)):
            text, digest = machine_secrets.write(session.kind, session.id, secret)
            if digest == session.secret_digest:
                return text
        return None


def _message(kind: SessionKind, session_id: UUID) -> bytes:
    return kind.value.encode() + b"\n" + session_id.bytes
