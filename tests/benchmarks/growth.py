"""``make bench GROWTH=1``: the same product with a thousand and with a million open tasks and past infusions, and two of followup.

What is there already is loaded past the product (``past.py``); what is measured is the product.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from joserfc.jwk import ECKey

from services import secrets
from services.followup.tasks.queries import View
from tests.benchmarks import measures
from tests.benchmarks.ground import Ground, Waiting, in_recovery
from tests.benchmarks.load import Requests, requests
from tests.benchmarks.measures import Lengths
from tests.benchmarks.past import Past, Say, load
from tests.benchmarks.past_rows import FOLLOWUP, SESSIONS
from tests.faults.clinic import System
from tests.faults.installation import ORIGIN
from tests.support.waiting import eventually

SMALL, LARGE = 1_000, 1_000_000
SETTINGS = {"FOLLOWUP_AUDIT_GRACE_SECONDS": "60", "FOLLOWUP_AUDIT_EVERY_SECONDS": "86400"}
"""The audit of completeness looks at what it would look at, but only when it is asked to, and is timed."""
_RATE, _DRAINED = 400, 3_000
"""Less than elsewhere, and seeded in one go, since every seeding ends with a look through all tables."""
_PAGES, _CLAIMS = 6, 200
_DUE = 1_000
"""Tasks that fall due at once, to see how fast their timers fire."""

VIEWS = tuple(view.value for view in View)


def lists(ground: Ground, now: datetime, patient_id: UUID) -> Mapping[str, Mapping[str, str]]:
    """What a coordinator may ask of the queue, by name: every view as it comes, then other orders, then filters."""
    orders = [(view, sort) for view in ("mine", "unassigned", "open") for sort in ("-due_at", "created_at", "-created_at", "priority")]
    orders += [(view, sort) for view in ("done", "cancelled") for sort in ("due_at", "-created_at", "priority")]
    filters = {
        "kind=integration-session": {"kind": "integration-session"},
        "kind=safety-review": {"kind": "safety-review"},
        "priority=routine": {"priority": "routine"},
        "priority=stat": {"priority": "stat"},
        "owner": {"owner_id": ground.clinic.staff["therapist"]},
        "patient": {"patient_id": str(patient_id)},
        "overdue": {"overdue": "true"},
        "not overdue": {"overdue": "false"},
        "due before": {"due_before": (now - timedelta(days=1)).isoformat()},
    }
    asked: dict[str, Mapping[str, str]] = {view: {"view": view} for view in VIEWS}
    asked |= {f"{view} by {sort}": {"view": view, "sort": sort} for view, sort in orders}
    return asked | {f"{view}, {name}": {"view": view, **chosen} for view in VIEWS for name, chosen in filters.items()}


async def growth(ground: Ground, lengths: Lengths, sizes: Sequence[int], say: Say) -> dict[str, Any]:  # Any: figures in groups
    """The figures at each size, and at the largest one of two processes of followup too. The services run."""
    lengths = replace(lengths, rate=_RATE, drained=min(_DRAINED, lengths.drained))
    figures: dict[str, Any] = {}
    async with requests(ground) as work:
        model = await _one_example(work, ground)
        for size in sizes:
            say(f"{size:,} open tasks and past infusions")
            began = time.monotonic()
            await have(ground, model, size, say)
            loading = {"seconds": time.monotonic() - began}
            figures[f"{size:,}"] = {"loading": loading} | await _measured(work, ground, lengths, say)
        say("one more process of followup")
        await ground.installation.add("followup")
        figures[f"{sizes[-1]:,}, two of followup"] = await _measured(work, ground, lengths, say)
    return figures


async def have(ground: Ground, model: Waiting, size: int, say: Say) -> None:
    """Have so many open tasks and past infusions, at least; the services that own the tables are stopped meanwhile."""
    staff = ground.clinic.staff
    owners = [UUID(staff[role]) for role in ("coordinator", "therapist", "prescriber")]
    present: int = await ground.followup.fetchval("SELECT count(*) FROM plan")
    if present >= size:
        return
    loaded: int = await ground.followup.fetchval("SELECT count(*) FROM plan WHERE patient_number LIKE 'P-_______'")
    past = Past(ground.clinic.clinic_id, model.named, owners, datetime.now(UTC), size - present, loaded)
    services = ground.installation.all("sessions", "followup")
    for process in services:
        await process.stop()
    await asyncio.gather(load(ground.followup, FOLLOWUP, past, say), load(ground.sessions, SESSIONS, past, say))
    await ground.followup.execute("CHECKPOINT")
    for process in services:
        await process.start()
        await process.ready()


async def _measured(work: Requests, ground: Ground, lengths: Lengths, say: Say) -> dict[str, Any]:  # Any: figures in groups
    ground.give_back(await ground.waiting(int(2 * lengths.seconds * _RATE) + lengths.drained))
    figures: dict[str, Any] = {"sustained": await measures.sustained(work, ground, lengths, {})}
    say(f"  sustained {figures['sustained']['per_second']:.0f} a second")
    figures["latency"] = await measures.latency(work, ground, lengths, figures["sustained"]["per_second"])
    figures["drain"] = await _drain(work, ground, lengths)
    say(f"  drain {figures['drain']['per_second']:.0f} a second")
    figures["timers"] = await _timers(ground)
    say(f"  timers {figures['timers']['per_second']:.0f} a second")
    figures["claim"] = await _claims(ground)
    figures["lists"], figures["counts"] = await _lists(ground)
    slowest = max(figures["lists"], key=lambda name: float(figures["lists"][name]["p50_ms"]))
    say(f"  the slowest list is {slowest} with {figures['lists'][slowest]['p50_ms']:.0f} ms")
    figures["audit"] = await _audit(ground)
    say(f"  audit {figures['audit']['seconds']:.1f} s for {figures['audit']['infusions']} infusions")
    return figures


async def _one_example(work: Requests, ground: Ground) -> Waiting:
    """An infusion with its follow-up, of which all others are copies."""
    model, _ = await in_recovery(ground.clinic)
    await ground.quiet()
    before = await ground.finished()
    assert await work.complete(model)
    await ground.finish(before + 1)
    return model


async def _drain(work: Requests, ground: Ground, lengths: Lengths) -> dict[str, float]:
    followup = ground.installation.all("followup")
    for process in followup:
        await process.stop()
    target = await measures.backlog(work, ground, lengths)
    for process in followup:
        await process.start()
    return await measures.drained(ground, target)


async def _timers(ground: Ground) -> dict[str, float]:
    """How fast tasks that fall due together become overdue."""
    ids = [row["subject_id"] for row in await ground.followup.fetch(_LAST_DUE, _DUE)]
    assert len(ids) == _DUE
    async with ground.followup.transaction():
        await ground.followup.execute("UPDATE care_task SET due_at = now() - interval '1 s' WHERE task_id = ANY($1::uuid[])", ids)
        await ground.followup.execute("UPDATE platform.timer SET due_at = now() WHERE subject_id = ANY($1::uuid[])", ids)
    await eventually(partial(ground.followup.fetchval, _OVERDUE, ids), lambda overdue: overdue == _DUE, within=120)
    batches = await ground.followup.fetch(_BATCHES, ids)
    assert len(batches) > 1, "all fired in one batch"
    seconds = (batches[-1]["changed_at"] - batches[0]["changed_at"]).total_seconds()
    return {"per_second": sum(batch["tasks"] for batch in batches[:-1]) / seconds}


async def _claims(ground: Ground) -> dict[str, float]:
    """Milliseconds until a task that nobody has is the coordinator's."""
    acting = UUID(ground.clinic.staff["coordinator"])
    page = await ground.system.get("/followup/v1/tasks", acting=acting, view="unassigned", kind="integration-session", limit=str(_CLAIMS))
    return _spread(
        [await _timed(ground.system.post(f"/followup/v1/tasks/{task['task_id']}/claim", {}, acting=acting)) for task in page["items"]]
    )


async def _lists(ground: Ground) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Milliseconds for pages of fifty tasks, each after the one before, and for the counts with the same filters."""
    now = datetime.now(UTC)
    asked = lists(ground, now, ground.model.patient_id)
    pages = {name: _spread([wait async for wait in _pages(ground, query)]) for name, query in asked.items()}
    acting = UUID(ground.clinic.staff["coordinator"])
    filters = {name.partition(", ")[2]: query for name, query in asked.items() if "sort" not in query}
    counts = {}
    for name, query in filters.items():
        wanted = {key: value for key, value in query.items() if key != "view"}
        waits = [await _timed(ground.system.get("/followup/v1/tasks/counts", acting=acting, **wanted)) for _ in range(_PAGES)]
        counts[name or "all"] = _spread(waits)
    return pages, counts


async def _pages(ground: Ground, query: Mapping[str, str]) -> AsyncIterator[float]:
    acting = UUID(ground.clinic.staff["coordinator"])
    cursor: dict[str, str] = {}
    for _ in range(_PAGES):
        began = time.monotonic()
        page = await ground.system.get("/followup/v1/tasks", acting=acting, limit="50", **query, **cursor)
        yield (time.monotonic() - began) * 1000
        cursor = {name: value for name, value in parse_qsl(urlsplit(page["next"] or "").query) if name == "cursor"}


async def _audit(ground: Ground) -> dict[str, float]:
    """Seconds of one look of the audit, and at how many infusions; all must have their follow-up."""
    async with _operator(ground) as operator:
        began = time.monotonic()
        asked_at = datetime.fromisoformat((await operator.post("/followup/v1/pipeline/audit", {}))["asked_at"])

        async def run() -> Mapping[str, Any]:  # Any: JSON
            found = [one["last_run"] for one in (await operator.get("/followup/v1/pipeline/audit"))["items"]]
            return next((run for run in found if run and datetime.fromisoformat(run["ran_at"]) >= asked_at), {})

        last = await eventually(run, bool, within=300, every=0.05)
        assert last["gaps"] == 0, f"{last['gaps']} infusions lack something"
        seconds = time.monotonic() - began
        return {"seconds": seconds, "infusions": last["compared"], "per_second": last["compared"] / seconds}


@asynccontextmanager
async def _operator(ground: Ground) -> AsyncIterator[System]:
    key = ECKey.import_key(json.loads(secrets.read(ground.installation.folder / "secrets", "operator-client-key.json")))
    operator = System(ground.installation.gateway, secrets.OPERATOR_CLIENT, key, secrets.OPERATOR_SCOPES, origin=ORIGIN)
    try:
        yield operator
    finally:
        await operator.close()


async def _timed(work: Awaitable[object]) -> float:
    began = time.monotonic()
    await work
    return (time.monotonic() - began) * 1000


def _spread(waits: Sequence[float]) -> dict[str, float]:
    ordered = sorted(waits)
    return {"p50_ms": ordered[len(ordered) // 2], "p99_ms": ordered[len(ordered) * 99 // 100]}


_LAST_DUE = """
    SELECT c.subject_id FROM platform.timer c JOIN care_task t ON t.task_id = c.subject_id
    WHERE c.kind = 'task-clock' AND c.state = 'armed' AND c.due_at > now() AND t.business_status = 'to-do' ORDER BY c.due_at DESC LIMIT $1
"""
_OVERDUE = "SELECT count(*) FROM care_task WHERE task_id = ANY($1::uuid[]) AND business_status = 'overdue'"
_BATCHES = "SELECT changed_at, count(*) AS tasks FROM care_task WHERE task_id = ANY($1::uuid[]) GROUP BY changed_at ORDER BY changed_at"
