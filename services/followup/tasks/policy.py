"""What a clinic settles about its queue: kinds of work, who does them, how long they may wait. Data from a file, handed in."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

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


class HoldPolicy(_Data):
    """How long work may wait, all holds of one task together."""

    max_hours_in_all: int
    priorities: tuple[str, ...]
    source: str

    @property
    def at_most(self) -> timedelta:
        return timedelta(hours=self.max_hours_in_all)


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

    def kept_after(self, cause: CancelCause) -> list[str]:
        """Kinds of tasks that stay open."""
        return sorted(name for name, kind in self.kinds.items() if cause in kind.kept_after)


def shipped_policy() -> TaskPolicy:
    """The policy that comes with the product. Raises pydantic's ValidationError for a file that is not complete."""
    data: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))  # Any: checked by the model
    data.pop("groups")
    return TaskPolicy.model_validate(data)
