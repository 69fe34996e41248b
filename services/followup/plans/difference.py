"""What has to be written for one patient, with what it follows from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.followup.plans.changes import Change, CoverChange, ItemChange
from services.followup.plans.facts import Facts, Visit
from services.followup.plans.stored import Items, Stored
from services.followup.plans.wanted import Key, Plan, Wanted


@dataclass(frozen=True, slots=True)
class Difference:
    """One patient's changes."""

    facts: Facts
    existing: Items
    wanted: Plan
    changes: Sequence[Change]
    pinned: Mapping[UUID, tuple[str, int]] = field(default_factory=dict)
    """The protocols of the anchors that were followed before."""
    caused_by: UUID | None = None
    """The event that changed a fact; None where it was time or a person."""
    drift: Sequence[Change] = ()
    """What is not written, since no fact has changed that would explain it."""

    def as_time_may_write(self) -> "Difference":
        """Only what time alone may do. The rest is drift: a new release or a faulty protocol must not call off everybody's follow-up."""
        return replace(
            self,
            changes=[change for change in self.changes if change.time_may_do_it],
            drift=[change for change in self.changes if not change.time_may_do_it],
        )

    @property
    def item_changes(self) -> list[ItemChange]:
        """What becomes of items."""
        return [change for change in self.changes if isinstance(change, ItemChange)]

    @property
    def cover_changes(self) -> list[CoverChange]:
        """What becomes of people's work that covers items."""
        return [change for change in self.changes if isinstance(change, CoverChange)]

    @property
    def new_pins(self) -> Mapping[UUID, tuple[str, int]]:
        """The protocols of anchors that are followed from now on, and keep them."""
        return {anchor: name for anchor, name in self.wanted.pins.items() if anchor not in self.pinned}

    def want(self, key: Key) -> Wanted | None:
        """The item as the facts want it; None where they name it no more."""
        return self.wanted.wanted.get(key)

    def becomes(self, key: Key) -> Stored | None:
        """The item as it is after the changes."""
        changed = next((change.after for change in self.item_changes if change.after.key == key), None)
        return changed or self.existing.stored.get(key)

    def visit(self, infusion_id: UUID | None) -> Visit | None:
        """An infusion of the patient."""
        return next((visit for visit in self.facts.visits if visit.infusion_id == infusion_id), None)

    def infusion_of(self, key: Key) -> UUID | None:
        """The infusion that an item is about; None for what follows a course."""
        want = self.want(key)
        if want is not None:
            return want.why.infusion_id
        return key.anchor_id if self.visit(key.anchor_id) else None
