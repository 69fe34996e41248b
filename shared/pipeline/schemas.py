"""What an operator asks, and what is answered: no member of an answer can hold what an event says."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from shared.events.registry import Registry
from shared.parked_reasons import ParkedReason
from shared.pipeline import shown
from shared.pipeline.models import ParkedEntry
from shared.web import Answer, Body, Text

MAX_NUMBER = 2**53 - 1
"""As far as every reader of JSON counts exactly (RFC 8259, section 6); no sequence of ours comes near it."""
ParkedId = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
DryRun = Annotated[bool, Field(description="Only tell what would happen. False does it.")]
By = Annotated[str, Text(100), Field(description="Name of the person who decides.")]
Reason = Annotated[str, Text(500, lines=True), Field(description="Why. Never a patient's name.")]


class ParkedState(StrEnum):
    """What became of it."""

    PARKED = "parked"
    RESOLVED = "resolved"
    DISCARDED = "discarded"


class PartitionState(StrEnum):
    """How a consumer stands in a partition."""

    CAUGHT_UP = "caught-up"
    BEHIND = "behind"
    RETENTION_LOSS = "retention-loss"
    """Records that were not read are gone. It stands still until a person settles the gap."""
    ANOTHER_LOG = "another-log"
    """The stored position lies behind the end: the topic was lost and made anew. It starts over by itself."""


class OutboxOut(Answer):
    """What the service has told and the bus has not taken."""

    pending: int
    oldest_seconds: float | None


class RelayOut(Answer):
    """The one process that moves the outbox, and those that stand by."""

    active: bool
    standing_by: int


class PartitionOut(Answer):
    """One partition. Between the stored position and the end lies what is not handled."""

    topic: str
    partition: int
    state: PartitionState
    next_offset: int | None
    first_offset: int
    end_offset: int
    lag: int
    oldest_seconds: float | None
    moved_at: datetime | None


class ConsumerOut(Answer):
    """The service as a consumer. ``lag`` is null while the bus is away; without partitions it counts what is in hand."""

    name: str
    bus_answers: bool
    lag: int | None
    oldest_seconds: float | None
    partitions: list[PartitionOut]


class ParkedCount(Answer):
    """How many records are parked for one reason."""

    reason: ParkedReason
    count: int
    oldest_seconds: float


class ParkedOverview(Answer):
    """What is parked."""

    count: int
    keys_blocked: int
    by_reason: list[ParkedCount]


class PipelineOut(Answer):
    """How the pipeline of one service stands."""

    service: str
    measured_at: datetime
    outbox: OutboxOut
    relay: RelayOut
    consumer: ConsumerOut | None
    parked: ParkedOverview


class ParkedOut(Answer):
    """A parked record. ``key`` and ``type`` are null where the record holds something else than an id or a type of ours."""

    parked_id: int
    consumer: str
    topic: str
    partition: int
    offset: int
    event_id: UUID | None
    type: str | None
    key: str | None
    blocks_key: bool
    reason: ParkedReason
    error_class: str
    attempts: int
    state: ParkedState
    parked_at: datetime
    settled_at: datetime | None
    settled_by: str | None

    @classmethod
    def of(cls, row: ParkedEntry, registry: Registry) -> Self:
        return cls.model_validate(_described(row, registry))


class ParkedDetail(ParkedOut):
    """One record with the headers that hold what they should, and how many wait behind it."""

    headers: dict[str, str]
    behind: int

    @classmethod
    def with_followers(cls, row: ParkedEntry, registry: Registry, behind: int) -> Self:
        more = {"headers": shown.headers(row.headers, registry), "behind": behind}
        return cls.model_validate(_described(row, registry) | more)


class RedriveParked(Body):
    """Which records: those of one key, of one reason, or of a range of numbers. Exactly one of the three.

    One parked as `time-off` is applied where its reason or its number is named; a redrive of its whole key stops before it.
    """

    key: UUID | None = None
    reason: ParkedReason | None = None
    from_id: ParkedId | None = None
    to_id: ParkedId | None = None
    after: Annotated[int, Field(ge=0, le=MAX_NUMBER, description="`next_after` of the part before.")] = 0
    resume_at: Annotated[ParkedId | None, Field(description="`resume_at` of the part before.")] = None
    dry_run: DryRun = True


class StillParked(Answer):
    """A record that failed again, with its fresh reason."""

    parked_id: int
    reason: ParkedReason
    error_class: str


class Redriven(Answer):
    """What was done, or would be, in this part; ``next_after`` and ``resume_at`` ask for the next part; the first is null at the end."""

    dry_run: bool
    keys: int
    chosen: int
    redriven: int
    failed: list[StillParked]
    held_up_by: list[int]
    """Records that were not chosen and hold up some that were."""
    set_aside: int
    """Chosen records that block nothing and are never tried again, only discarded."""
    next_after: int | None
    resume_at: int | None


class DiscardParked(Body):
    """Who gives the record up, and why."""

    by: By
    reason: Reason


class Discarded(Answer):
    """The record is given up; ``behind`` still wait for their key to be redriven."""

    parked_id: int
    key: str | None
    behind: int


def _described(row: ParkedEntry, registry: Registry) -> dict[str, object]:
    described: dict[str, object] = row.model_dump(exclude={"headers", "key"})
    return described | {"key": shown.key(row.key), "type": shown.event_type(row.headers, registry)}
