"""The difference between what exists and what should, as values that are written as they stand."""

from dataclasses import dataclass
from enum import StrEnum

from services.followup.plans.stored import UNTOLD, Cover, CoverKind, Stored


class Step(StrEnum):
    """What happens to an item."""

    MAKE = "make"
    MISS = "miss"
    """It cannot be asked any more, and somebody calls about it."""
    MOVE = "move"
    KEEP_DUE = "keep-due"
    HAND_OVER = "hand-over"
    OFFER = "offer"
    CHASE = "chase"
    SUPERSEDE = "supersede"
    END = "end"
    RESTORE = "restore"
    CLOSE = "close"
    """It had expired; its link is taken back, so that no late answer comes from who is not followed any more."""
    RESTATE = "restate"
    """It has ended; the state and the reason that hold now are taken."""


class CoverStep(StrEnum):
    """What happens to people's work that covers items."""

    MAKE = "make"
    JOIN = "join"
    """More is listed on one that is open."""
    MOVE = "move"
    END = "end"


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item, as it is and as it becomes. ``before`` is None for one to be made."""

    step: Step
    before: Stored | None
    after: Stored

    @property
    def time_may_do_it(self) -> bool:
        """Whether a run without a changed fact may do this. Anything else is drift: not applied, but counted and shown."""
        if self.step is Step.KEEP_DUE and self.before and self.before.refused == UNTOLD:
            return True  # nothing but what the release before did not keep
        return self.step in (Step.MAKE, Step.MISS)


@dataclass(frozen=True, slots=True)
class CoverChange:
    """One piece of covering work, as it is and as it becomes. ``because`` says why it ends."""

    step: CoverStep
    before: Cover | None
    after: Cover
    because: str | None = None

    @property
    def time_may_do_it(self) -> bool:
        """Whether a run without a changed fact may do this: call about what was missed."""
        return self.step in (CoverStep.MAKE, CoverStep.JOIN) and self.after.kind is CoverKind.CATCH_UP


Change = ItemChange | CoverChange


def codes_of(change: Change) -> tuple[str, str]:
    """What is done, and to which item or kind of work."""
    return change.step.value, change.after.kind.value if isinstance(change, CoverChange) else change.after.key.code
