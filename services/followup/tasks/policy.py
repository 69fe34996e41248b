"""What a clinic settles about its queue: kinds of work, who does them, how long they may wait. Data from a file, handed in."""

from collections.abc import Collection
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from shared.events.intake import Role

_FILE = Path(__file__).with_name("policy.yaml")


class CancelCause(StrEnum):
    """What may call off open work."""

    DEATH = "death"
    WITHDRAWAL = "withdrawal"
    TREATMENT_CONSENT_REVOKED = "treatment-consent-revoked"
    ENTERED_IN_ERROR = "entered-in-error"
    NO_DRUG_GIVEN = "no-drug-given"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KindPolicy(_Data):
    """One kind of task."""

    roles: frozenset[Role]
    outcomes: tuple[str, ...]
    until_spoken: bool = False
    kept_after: frozenset[CancelCause] = frozenset()
    hold: Literal["clinical", "office"] = "clinical"
    suggested: tuple[Literal["therapist", "coordinator", "responsible-clinician"], ...] = ()


class HoldLimit(_Data):
    """How long one sort of work may wait, all holds of one task together, and what it must be back for."""

    hours: int = 0
    days: int = 0
    ahead_of: frozenset[Literal["window", "next-infusion"]] = frozenset()
    source: str

    @property
    def at_most(self) -> timedelta:
        return timedelta(days=self.days, hours=self.hours)

    @property
    def in_words(self) -> str:
        """The length, for a refusal."""
        return f"at most {self.days} days in all" if self.days else f"at most {self.hours} hours in all"


class HoldPolicy(_Data):
    """How long work may wait."""

    priorities: tuple[str, ...]
    limits: dict[Literal["clinical", "office"], HoldLimit]

    @property
    def in_words(self) -> str:
        """What may wait, for a refusal."""
        return f"only {' or '.join(self.priorities)} work may wait" if self.priorities else "no work may wait"


class RetryPolicy(_Data):
    """How far ahead the next attempt may be."""

    within_days: int
    source: str

    @property
    def within(self) -> timedelta:
        return timedelta(days=self.within_days)


class TaskPolicy(_Data):
    """``policy.yaml``."""

    version: int
    hold: HoldPolicy
    retry: RetryPolicy
    note_readers: frozenset[str]
    kinds: dict[str, KindPolicy]

    def hold_of(self, kind: str) -> HoldLimit:
        """How long a task of this kind may wait."""
        return self.hold.limits[self.kinds[kind].hold]

    def held_ahead_of_infusions(self) -> list[str]:
        """Kinds of tasks that must be back on the day of the patient's next infusion."""
        return sorted(kind for kind in self.kinds if "next-infusion" in self.hold_of(kind).ahead_of)

    def takeable(self, roles: Collection[str]) -> frozenset[str]:
        """Kinds of tasks that somebody may do where these roles are held."""
        return frozenset(name for name, kind in self.kinds.items() if not kind.roles.isdisjoint(roles))

    def kept_after(self, cause: CancelCause) -> list[str]:
        """Kinds of tasks that stay open."""
        return sorted(name for name, kind in self.kinds.items() if cause in kind.kept_after)


def shipped_policy() -> TaskPolicy:
    """The policy that comes with the product. Raises pydantic's ValidationError for a file that is not complete."""
    data: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))  # Any: checked by the model
    data.pop("groups")
    return TaskPolicy.model_validate(data)
