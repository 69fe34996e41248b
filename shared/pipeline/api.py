"""The operations under ``/<service>/v1/pipeline``: for the operator, who belongs to no clinic and sees no patient."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path

from shared.db import let_go
from shared.events import registry
from shared.parked_reasons import ParkedReason
from shared.pipeline import commands, queries
from shared.pipeline.commands import Trail
from shared.pipeline.schemas import (
    MAX_NUMBER,
    Discarded,
    DiscardParked,
    ParkedDetail,
    ParkedOut,
    ParkedState,
    PipelineOut,
    Redriven,
    RedriveParked,
)
from shared.pipeline.standing import Look
from shared.pipeline.telling import commands as telling
from shared.pipeline.telling.schemas import GapSettled, Replayed, ReplayRange, Republished, RepublishSince, SettleGap
from shared.service import Service
from shared.web import Call, Listing, Page, Router, operator_access, page_of

ParkedNumber = Annotated[int, Path(ge=1, le=MAX_NUMBER, description="Number of a parked record, in this service.")]


def with_pipeline(service: Service) -> Service:
    """The service with the operator's operations beside its own."""
    service.routers = [*service.routers, routes(service)]
    return service


def routes(service: Service) -> Router:
    """The operator's operations on one service."""
    router = Router(prefix=f"/{service.name}/v1/pipeline", tags=["Pipeline"])
    _seeing(router, service)
    _mending(router, service)
    _telling_again(router, service)
    return router


def _seeing(router: Router, service: Service) -> None:
    look = Look(service.inbox, service.bus) if service.inbox else None

    @router.get("")
    @operator_access("system/Pipeline.r")
    async def show_pipeline(call: Call) -> PipelineOut:
        """How this service's outbox, consumer and parked records stand."""
        measured_at = datetime.now(UTC)
        outbox, relay, parked = await queries.outbox(call.db), await queries.relay(call.db), await queries.parked_overview(call.db)
        await let_go(call.db)
        consumer = await look.shared() if look else None
        return PipelineOut(service=service.name, measured_at=measured_at, outbox=outbox, relay=relay, consumer=consumer, parked=parked)

    @router.get("/parked")
    @operator_access("system/Pipeline.r")
    async def list_parked(
        call: Call, page: Page, reason: ParkedReason | None = None, key: UUID | None = None, state: ParkedState = ParkedState.PARKED
    ) -> Listing[ParkedOut]:
        """Records that could not be handled, oldest first: ids, types, reasons and times, never what they say."""
        statement = queries.parked(state=state, reason=reason, key=str(key) if key else None)
        return (await page_of(call, statement, page)).listing(lambda row: ParkedOut.of(row, registry))

    @router.get("/parked/{parked_id}")
    @operator_access("system/Pipeline.r")
    async def read_parked(parked_id: ParkedNumber, call: Call) -> ParkedDetail:
        """One record, with the headers that hold what they should."""
        row = await queries.get_parked(call.db, parked_id)
        return ParkedDetail.with_followers(row, registry, await queries.count_behind(call.db, row))


def _mending(router: Router, service: Service) -> None:
    @router.post("/redrive")
    @operator_access("system/Pipeline.u")
    async def redrive_parked(body: RedriveParked, call: Call) -> Redriven:
        """Try parked records again, in the order of each key. What fails again stays parked with a fresh reason. A dry run by default."""
        return await commands.redrive(call.db, call.actor, service, body, Trail(call.caller.client_id, call.request_id))

    @router.post("/parked/{parked_id}/discard")
    @operator_access("system/Pipeline.u")
    async def discard_parked(parked_id: ParkedNumber, body: DiscardParked, call: Call) -> Discarded:
        """Give a record up for good, by name and with a reason."""
        discarded = await commands.discard(call.db, call.actor, parked_id, body)
        call.about(f"parked/{parked_id}", purpose=f"{body.by}: {body.reason}")
        return discarded


def _telling_again(router: Router, service: Service) -> None:
    @router.post("/republish")
    @operator_access("system/Pipeline.u")
    async def republish_events(body: RepublishSince, call: Call) -> Republished:
        """Tell events of this service again, with the ids they have. A dry run by default."""
        stretch = "/".join((body.since.isoformat(), body.until.isoformat() if body.until else ""))
        call.about(f"event_log/{stretch}", purpose=f"{body.by}: {body.reason}")
        return await telling.republish(call.db, body)

    if service.inbox is None:
        return

    @router.post("/replay")
    @operator_access("system/Pipeline.u")
    async def replay_range(body: ReplayRange, call: Call) -> Replayed:
        """Read a range of a partition into this service again; what it had is skipped. A dry run by default."""
        replayed = await telling.replay(call.db, service, body)
        stretch = f"{replayed.from_offset}-{replayed.to_offset}"
        call.about(f"{body.topic}/{body.partition}@{stretch}", purpose=f"{body.by}: {body.reason}")
        return replayed

    @router.post("/settle-gap")
    @operator_access("system/Pipeline.u")
    async def settle_gap(body: SettleGap, call: Call) -> GapSettled:
        """Let a consumer go on behind records that are lost, by name and with a reason. A dry run by default."""
        settled = await telling.settle_gap(call.db, service, body)
        if not body.dry_run:
            call.about(f"{body.topic}/{body.partition}", purpose=f"{body.by}: {body.reason}")
        return settled
