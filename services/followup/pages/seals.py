"""What only this service can have made: marks of forms, sessions, and answers that wait in the patient's own browser.

Everything is sealed under a key that is derived from the link secret, for one purpose each, so that nothing passes for something else.
"""

from typing import NamedTuple, Self
from uuid import UUID

from shared.sealing import Box

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
        self._box = Box(secret, b"afterglow patients' pages")

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
        return self._box.sealed_text(content, purpose)

    def opened(self, purpose: bytes, text: str) -> bytes | None:
        """What was sealed for this purpose, character by character the same text."""
        return self._box.opened_text(text, purpose)
