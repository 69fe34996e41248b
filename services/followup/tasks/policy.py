"""What a clinic settles about its queue: kinds of work, who does them, how long they may wait. A clinical document, handed in."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.documents.content import Document, Part, Source, misplaced
from shared.documents.kinds import FIRST_OF_A_CLINIC, Kind
from shared.events.intake import Role

Outcome = Literal["reached", "left-message", "no-answer", "declined", "unable", "done"]
"""How work may end, as ``rules.Outcome`` has it."""


class CancelCause(StrEnum):
    """What may call off open work."""

    DEATH = "death"
    WITHDRAWAL = "withdrawal"
    TREATMENT_CONSENT_REVOKED = "treatment-consent-revoked"
    ENTERED_IN_ERROR = "entered-in-error"
    NO_DRUG_GIVEN = "no-drug-given"


class KindPolicy(Part):
    """One kind of task."""

    roles: Annotated[frozenset[Role], Field(min_length=1)]
    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1)]
    until_spoken: bool = False
    kept_after: frozenset[CancelCause] = frozenset()
    hold: Literal["clinical", "office"] = "clinical"
    suggested: tuple[Literal["therapist", "coordinator", "responsible-clinician"], ...] = ()


class HoldLimit(Part):
    """How long one sort of work may wait, all holds of one task together, and what it must be back for."""

    hours: Annotated[int, Field(ge=0, le=336)] = 0
    days: Annotated[int, Field(ge=0, le=60)] = 0
    ahead_of: frozenset[Literal["window", "next-infusion"]] = frozenset()
    source: Source

    @property
    def at_most(self) -> timedelta:
        return timedelta(days=self.days, hours=self.hours)

    @property
    def in_words(self) -> str:
        """The length, for a refusal."""
        return f"at most {self.days} days in all" if self.days else f"at most {self.hours} hours in all"


class HoldPolicy(Part):
    """How long work may wait."""

    priorities: tuple[Literal["routine", "urgent", "asap", "stat"], ...]
    limits: Annotated[dict[Literal["clinical", "office"], HoldLimit], Field(min_length=2)]

    @property
    def in_words(self) -> str:
        """What may wait, for a refusal."""
        return f"only {' or '.join(self.priorities)} work may wait" if self.priorities else "no work may wait"


class RetryPolicy(Part):
    """How far ahead the next attempt may be."""

    within_days: Annotated[int, Field(ge=1, le=60)]
    source: Source

    @property
    def within(self) -> timedelta:
        return timedelta(days=self.within_days)


class TaskPolicy(Document):
    """All of the document. A kind that a clinic's own version leaves out, and one that a later release brings, is as in the default."""

    hold: HoldPolicy
    retry: RetryPolicy
    note_readers: frozenset[str]
    kinds: dict[str, KindPolicy]

    @model_validator(mode="before")
    @classmethod
    def _with_other_kinds(cls, data: dict[str, Any]) -> dict[str, Any]:  # Any: as it was parsed
        if data.get("version", 0) < FIRST_OF_A_CLINIC or not isinstance(data.get("kinds"), dict):
            return data
        return {**data, "kinds": {**TASK_POLICY.default.kinds, **data["kinds"]}}

    @model_validator(mode="after")
    def _of_this_release(self) -> Self:
        """Who reads notes and answers is not the clinic's to widen, and a kind that nobody makes is a slip of the pen."""
        if self.version < FIRST_OF_A_CLINIC:
            return self
        default = TASK_POLICY.default
        if not self.note_readers <= default.note_readers:
            raise misplaced(("note_readers",), PydanticCustomError("not-allowed", "Notes and answers are for clinical roles only."))
        for name, kind in self.kinds.items():
            if name not in default.kinds:
                raise misplaced(("kinds", name), PydanticCustomError("kind-unknown", "There is no such kind of work."))
            if not kind.roles <= _WORKING_ROLES:
                raise misplaced(("kinds", name, "roles"), PydanticCustomError("not-allowed", "A role here has no work at the queue."))
            if kind.kept_after - _DEPARTURES != default.kinds[name].kept_after - _DEPARTURES:
                raise misplaced(
                    ("kinds", name, "kept_after"), PydanticCustomError("not-allowed", "What a record ends is not settled here.")
                )
        return self

    def hold_of(self, kind: str) -> HoldLimit:
        """How long a task of this kind may wait."""
        return self.hold.limits[self.kinds[kind].hold]

    def held_ahead_of_infusions(self) -> list[str]:
        """Kinds of tasks that must be back on the day of the patient's next infusion."""
        return sorted(kind for kind in self.kinds if "next-infusion" in self.hold_of(kind).ahead_of)

    def takeable(self, roles: Collection[str]) -> frozenset[str]:
        """Kinds of tasks that somebody may do where these roles are held."""
        return frozenset(name for name, kind in self.kinds.items() if not kind.roles.isdisjoint(roles))

    def kept_otherwise(self) -> Mapping[str, frozenset[CancelCause]]:
        """What stays open after which departures, by kind, where a clinic's own version says otherwise than the default."""
        default = TASK_POLICY.default.kinds
        return {name: kind.kept_after & _DEPARTURES for name, kind in self.kinds.items() if kind.kept_after != default[name].kept_after}


_DEPARTURES = frozenset({CancelCause.DEATH, CancelCause.WITHDRAWAL, CancelCause.TREATMENT_CONSENT_REVOKED})
_WORKING_ROLES = frozenset(Role) - {Role.CLINIC_ADMIN, Role.AUDITOR}

TASK_POLICY = Kind("task-policy", TaskPolicy, Path(__file__).with_name("policy.yaml"))


def shipped_policy() -> TaskPolicy:
    """The policy that comes with the release."""
    return TASK_POLICY.default
