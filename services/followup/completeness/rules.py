"""What an ended infusion must have, and how long to wait before asking again: values in, values out."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

_INTEGRATION, _C24, _C72 = "integration-session", "C24", "C72"
_ASKED_BY_STAFF = "staff-check-in"
"""Stands in for C24 after a transfer to emergency care."""
EVENT = "event"
SESSIONS_BEHIND = "sessions-behind"
"""Sessions does not know what it has told: it came from a backup."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An infusion as sessions knows it."""

    infusion_id: UUID
    version: int
    drug_given: bool
    entered_in_error: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What followup has of an infusion: the version last heard of, whether it is void, whether there is a plan, and its items' codes."""

    version: int | None
    entered_in_error: bool
    has_plan: bool
    codes: frozenset[str]


def missing(ended: Ended, known: Known | None) -> list[str]:
    """What is not there, by code; empty when the set is full. An item counts whatever became of it.

    An event that never came, or one about a later version, is missing as ``event``; where followup knows the later one, what is missing
    is on the other side. What is void stays so whatever is told, so there its version says nothing.
    """
    if known is None or known.version is None:
        return [EVENT]
    if known.entered_in_error:
        return [] if ended.entered_in_error else [SESSIONS_BEHIND]
    gaps = _versions_apart(ended.version, known.version)
    if not ended.drug_given or ended.entered_in_error:
        return gaps
    if not known.has_plan:
        return [*gaps, "plan"]
    codes = known.codes | ({_C24} if _ASKED_BY_STAFF in known.codes else frozenset())
    return gaps + [code for code in (_INTEGRATION, _C24, _C72) if code not in codes]


def _versions_apart(told: int, known: int) -> list[str]:
    if known == told:
        return []
    return [EVENT] if known < told else [SESSIONS_BEHIND]


def wait_after(times_asked: int, first: timedelta, longest: timedelta) -> timedelta:
    """How long to wait for an answer after having asked so many times: doubling, up to a limit."""
    return min(longest, first * (1 << min(times_asked, 20)))
