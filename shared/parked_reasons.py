"""Why a record is parked. The API names them, metrics count by them, and the table's constraint takes no other."""

from enum import StrEnum


class ParkedReason(StrEnum):
    """Why a record is parked."""

    POISON = "poison"
    UNDECODABLE = "undecodable"
    VERSION_UNKNOWN = "version-unknown"
    TENANT_MISMATCH = "tenant-mismatch"
    BEHIND_PARKED_KEY = "behind-parked-key"
    UNPUBLISHABLE = "unpublishable"
    OTHER_CONTENT = "other-content"
    """Its id is that of an event which said something else."""
    SEQUENCE_GAP = "sequence-gap"
    """An event of its key before it never came."""
    TIME_OFF = "time-off"
    """Its time is years off."""
    TOO_MANY_HOPS = "too-many-hops"
    """Too many events follow from one another."""
    FLOOD = "flood"
    """More of its key came within a minute than are handled at once. The consumer takes it up by itself."""


OF_THE_RELAY = (ParkedReason.UNPUBLISHABLE,)
OF_A_CONSUMER = tuple(reason for reason in ParkedReason if reason not in OF_THE_RELAY)
"""Who parks for which."""


NEVER_APPLIED = frozenset({ParkedReason.TENANT_MISMATCH, ParkedReason.OTHER_CONTENT, ParkedReason.TOO_MANY_HOPS})
"""What is set aside for one of these is applied by nobody, and nothing of its key waits for it."""
