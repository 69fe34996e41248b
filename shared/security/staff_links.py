"""One-time links by which people come in where nobody can sign in yet: in demos and tests. Production has no route that takes one.

A link is sealed, so only who has the secret makes one. Whether it was used is known to the service that takes it.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from shared.sealing import Box

LIFE = timedelta(hours=1)
"""Real time, as for every credential."""
_PLACE = b"link"
_UUID_BYTES = 16


class StaffLink(NamedTuple):
    """As whom a link lets somebody in."""

    clinic_id: UUID
    practitioner_id: UUID


class StaffLinks:
    """Makes and opens links with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._box = Box(secret, b"afterglow staff link")

    def made(self, link: StaffLink, *, at: datetime | None = None) -> str:
        """Another text at every call."""
        ends = int(((at or datetime.now(UTC)) + LIFE).timestamp())
        return self._box.sealed_text(link.clinic_id.bytes + link.practitioner_id.bytes + ends.to_bytes(8, "big"), _PLACE)

    def opened(self, text: str) -> StaffLink | None:
        """As whom; None for what was not made here, or whose time is over."""
        raw = self._box.opened_text(text, _PLACE)
        if raw is None or int.from_bytes(raw[2 * _UUID_BYTES :], "big") < datetime.now(UTC).timestamp():
            return None
        return StaffLink(UUID(bytes=raw[:_UUID_BYTES]), UUID(bytes=raw[_UUID_BYTES : 2 * _UUID_BYTES]))
