"""``make bench GROWTH=1``: the same product with a thousand and with a million open tasks and past infusions, and two of followup.

What is there already is loaded past the product, as copies of one infusion's follow-up; what is measured is the product.
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from tests.benchmarks import measures
from tests.benchmarks.ground import Ground
from tests.benchmarks.load import Requests, requests
from tests.benchmarks.measures import Lengths

SMALL, LARGE = 1_000, 1_000_000
_PAGES = 60
_STEP = 50_000
_A_COURSE = 6


async def growth(ground: Ground, lengths: Lengths, large: int) -> dict[str, Any]:  # Any: figures in groups
    """The figures at each size, and of one and two processes of followup at the larger one. The services run."""
    figures: dict[str, Any] = {}
    async with requests(ground) as work:
        await _one_example(work, ground)
        for size in (SMALL, large):
            await load(ground, size)
            figures[str(size)] = {
                "sustained": await measures.sustained(work, ground, lengths, {}),
                "queue": await queue_pages(ground),
                "drain": await _drain(work, ground, lengths),
            }
        await ground.installation.add("followup")
        figures["two_of_followup"] = {
            "sustained": await measures.sustained(work, ground, lengths, {}),
            "drain": await _drain(work, ground, lengths),
        }
    return figures


async def queue_pages(ground: Ground) -> dict[str, float]:
    """Milliseconds for pages of the queue as a coordinator opens it: fifty tasks, each page after the one before."""
    waits = []
    cursor: Mapping[str, str] = {}
    for _ in range(_PAGES):
        began = time.monotonic()
        page = await ground.system.get("/followup/v1/tasks", acting=UUID(ground.clinic.staff["coordinator"]), limit="50", **cursor)
        waits.append((time.monotonic() - began) * 1000)
        cursor = {name: value for name, value in parse_qsl(urlsplit(page["next"] or "").query) if name == "cursor"}
    waits.sort()
    return {"p50_ms": waits[len(waits) // 2], "p99_ms": waits[len(waits) * 99 // 100]}


async def load(ground: Ground, size: int) -> None:
    """Have so many open tasks and so many past infusions, at least, of as many patients as six infusions each give."""
    present = await ground.followup.fetchval("SELECT count(*) FROM plan")
    while present < size:
        step = min(_STEP, size - present)
        async with ground.followup.transaction():
            await ground.followup.execute(_PAST, step, _A_COURSE)
            for statement in _COPIES:
                await ground.followup.execute(statement, ground.model.infusion_id)
        present += step
    await ground.settle()


async def _one_example(work: Requests, ground: Ground) -> None:
    """The follow-up of the model, of which all others are copies."""
    before = await ground.finished()
    assert await work.complete(ground.model)
    await ground.finish(before + 1)


async def _drain(work: Requests, ground: Ground, lengths: Lengths) -> dict[str, float]:
    followup = ground.installation.all("followup")
    for process in followup:
        await process.stop()
    target = await measures.backlog(work, ground, lengths)
    for process in followup:
        await process.start()
    return await measures.drained(ground, target)


_PAST = """
    CREATE TEMP TABLE past ON COMMIT DROP AS
    SELECT n, gen_random_uuid() AS infusion_id, gen_random_uuid() AS plan_id, p.patient_id, gen_random_uuid() AS open_id,
           gen_random_uuid() AS closed_id, gen_random_uuid() AS check_in_id, gen_random_uuid() AS focus_id,
           now() - make_interval(mins => n) AS at
    FROM generate_series(1, $1) n
    JOIN (SELECT k, gen_random_uuid() AS patient_id FROM generate_series(0, $1 / $2) k) p ON p.k = n / $2
"""


def _copy(table: str, model: str, changes: str, *, from_past: str = "past") -> str:
    return f"""
        INSERT INTO {table} SELECT copy.* FROM {table} m CROSS JOIN {from_past} g
        CROSS JOIN LATERAL jsonb_populate_record(m, jsonb_build_object({changes})) copy
        WHERE m.ctid = (SELECT ctid FROM {table} WHERE {model} LIMIT 1)
    """  # noqa: S608 - names of our own


_OF_MODEL = "infusion_id = $1"
_ITS_PATIENT = "patient_id = (SELECT patient_id FROM infusion WHERE infusion_id = $1)"
_WORK = "'plan_id', g.plan_id, 'infusion_id', g.infusion_id, 'patient_id', g.patient_id"
_COPIES = (
    _copy("patient", _ITS_PATIENT, "'patient_id', g.patient_id", from_past="(SELECT DISTINCT patient_id FROM past)"),
    _copy("infusion", _OF_MODEL, "'infusion_id', g.infusion_id, 'patient_id', g.patient_id, 'pump_ended_at', g.at"),
    _copy("plan", _OF_MODEL, f"{_WORK}, 'pump_ended_at', g.at"),
    _copy("care_task", _OF_MODEL, f"'task_id', g.open_id, 'focus_id', g.infusion_id, 'created_at', g.at, 'due_at', g.at, {_WORK}"),
    _copy(
        "care_task",
        _OF_MODEL,
        f"""'task_id', g.closed_id, 'focus_id', g.focus_id, 'status', 'cancelled', 'closed_at', g.at, 'changed_at', g.at, 'due_at', g.at,
            {_WORK}""",
    ),
    _copy("check_in", _OF_MODEL, f"'check_in_id', g.check_in_id, 'status', 'cancelled', {_WORK}"),
    """
        INSERT INTO platform.timer (timer_key, kind, due_at, subject_id, clinic_id, state, fired_at)
        SELECT 'task-clock:' || g.closed_id, 'task-clock', g.at, g.closed_id, p.clinic_id, 'fired', g.at
        FROM past g CROSS JOIN plan p WHERE p.infusion_id = $1
    """,
    """
        INSERT INTO platform.inbox (consumer, event_id)
        SELECT 'followup', g.focus_id FROM past g WHERE $1::uuid IS NOT NULL
    """,
)
