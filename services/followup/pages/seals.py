"""What only this service can have made: marks of forms, sessions, and answers that wait in the patient's own browser.

Everything is sealed by AES-GCM under a key that is derived from the link secret, for one purpose each, so that nothing passes for
something else. Nobody but this service reads it, and who changes a character of it has nothing.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple, Self
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12
_WHOSE_BYTES = 36
_UUID_BYTES = 16


class Whose(NamedTuple):
    """Which check-in of which clinic, by which of its links."""

    clinic_id: UUID
    check_in_id: UUID
    issue: int

    def packed(self) -> bytes:
        """As bytes, always as many."""
        return self.clinic_id.bytes + self.check_in_id.bytes + self.issue.to_bytes(4, "big")

    @classmethod
    def unpacked(cls, raw: bytes) -> Self:
        """From ``packed``."""
        return cls(
            UUID(bytes=raw[:_UUID_BYTES]), UUID(bytes=raw[_UUID_BYTES : 2 * _UUID_BYTES]), int.from_bytes(raw[2 * _UUID_BYTES :], "big")
        )


class Mark(NamedTuple):
    """Whose form a page showed, and in which session: the SHA-256 of the session's token."""

    whose: Whose
    session_sha256: bytes


class Seals:
    """Seals with one secret. Whatever was not sealed here for the same purpose opens as None."""

    def __init__(self, secret: bytes) -> None:
        self._box = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"afterglow patients' pages").derive(secret))

    def session(self, whose: Whose) -> str:
        """A new session's token, another one at every call."""
        return self.sealed(b"session", whose.packed())

    def session_of(self, token: str) -> Whose | None:
        """Whose session a token is of, whether it still runs or not."""
        raw = self.opened(b"session", token)
        return None if raw is None else Whose.unpacked(raw)

    def mark(self, mark: Mark) -> str:
        """What a form carries."""
        return self.sealed(b"form", mark.whose.packed() + mark.session_sha256)

    def mark_of(self, text: str) -> Mark | None:
        """What a form carried."""
        raw = self.opened(b"form", text)
        return None if raw is None else Mark(Whose.unpacked(raw[:_WHOSE_BYTES]), raw[_WHOSE_BYTES:])

    def sealed(self, purpose: bytes, content: bytes) -> str:
        """Anything, for one purpose, as text that fits a form field and a cookie."""
        nonce = os.urandom(_NONCE_BYTES)
        return _text_of(nonce + self._box.encrypt(nonce, content, purpose))

    def opened(self, purpose: bytes, text: str) -> bytes | None:
        """What was sealed for this purpose, character by character the same text."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            return self._box.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose) if _text_of(raw) == text else None
        except (InvalidTag, ValueError):
            return None


def _text_of(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
