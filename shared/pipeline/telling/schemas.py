"""Bodies and answers about a stretch of what was told: reading it again, telling it again, and settling what is lost of it."""

from typing import Annotated

from pydantic import Field

from shared.bus import PARTITIONS
from shared.pipeline.schemas import MAX_NUMBER, By, DryRun, Reason
from shared.web import Answer, Body, Moment, Text

Offset = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Topic = Annotated[str, Text(100)]
Partition = Annotated[int, Field(ge=0, lt=PARTITIONS)]


class ReplayRange(Body):
    """Which records of a partition: from an offset or from a time on, up to before an offset or as far as this consumer has come;
    who decides it, and why.
    """

    topic: Topic
    partition: Partition
    from_offset: Offset | None = None
    since: Moment | None = None
    to_offset: Offset | None = None
    by: By
    reason: Reason
    dry_run: DryRun = True


class Replayed(Answer):
    """What was read again in this part, and what of it this consumer had never handled; ``next_offset`` asks for the next part."""

    dry_run: bool
    topic: str
    partition: int
    from_offset: int
    to_offset: int
    read: int
    known: int
    ignored: int
    """Of types that this consumer does not listen to."""
    applied: int
    """Never handled before, and now it is; in a dry run, would be tried."""
    parked: int
    next_offset: int | None


class RepublishSince(Body):
    """Which events: those recorded from ``since`` on and before ``until``, which is now where it is left out; who decides it, and why."""

    since: Moment
    until: Moment | None = None
    after: Annotated[int, Field(ge=0, le=MAX_NUMBER, description="`next_after` of the part before.")] = 0
    by: By
    reason: Reason
    dry_run: DryRun = True


class Republished(Answer):
    """How many events go to the bus again in this part, with the ids they have, beside those that wait for it anyway."""

    dry_run: bool
    events: int
    waiting_already: int
    next_after: int | None


class SettleGap(Body):
    """Which partition goes on behind what is lost, who decides it, and why."""

    topic: Topic
    partition: Partition
    by: By
    reason: Reason
    dry_run: DryRun = True


class GapSettled(Answer):
    """The consumer goes on at ``to_offset``; the offsets before it, from ``from_offset`` on, were never read."""

    dry_run: bool
    topic: str
    partition: int
    from_offset: int
    to_offset: int
    lost: int
