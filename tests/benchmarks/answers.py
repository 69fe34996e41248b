"""A patient's worrying answer: how long until the task that it makes is visible, with completions going on beside it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx

from services.demo.patients import WORRYING, calm_answers
from tests.benchmarks.ground import Ground
from tests.benchmarks.load import Work, pace
from tests.faults.clinic import BIRTH_DATE, steps
from tests.support.waiting import eventually

_VISIT_BEGAN = timedelta(hours=21)
"""So long ago that the check-in of the first day is open, and not due yet."""
_ZONES = ("America/New_York", "America/Los_Angeles", "Pacific/Auckland", "Asia/Tokyo", "Asia/Kolkata", "Europe/Berlin")
_MIDDAY = range(11, 19)


async def answers(work: Work, ground: Ground, count: int, per_second: float) -> dict[str, float]:
    """Milliseconds from sending a form to its answer, which comes after the commit of the answers and of the task in one transaction."""
    links = await _links(ground, count)
    origin = f"http://127.0.0.1:{ground.installation.one('followup').port}"
    waits = []
    async with beside(work, ground, per_second, seconds=count * 0.2 + 2):
        for link in links:
            async with httpx.AsyncClient(base_url=origin, trust_env=False, timeout=30) as browser:
                form = await _form(browser, urlsplit(link).path)
                began = time.monotonic()
                sent = await browser.post("/c", data=form)
                waits.append((time.monotonic() - began) * 1000)
                assert sent.status_code == httpx.codes.SEE_OTHER, sent.status_code
                assert "<h1>Thank you</h1>" in (await browser.get(sent.headers["location"])).text
            await asyncio.sleep(0.1)
    await ground.quiet()
    made = await ground.followup.fetchval("SELECT count(*) FROM care_task WHERE kind = 'safety-review'")
    assert made >= count, f"{count} worrying answers made {made} tasks"
    waits.sort()
    return {"p50_ms": waits[len(waits) // 2], "p99_ms": waits[len(waits) * 99 // 100], "count": count}


async def _form(browser: httpx.AsyncClient, path: str) -> dict[str, str]:
    year, month, day = BIRTH_DATE.split("-")
    entered = await browser.post(path, data={"birth_month": month, "birth_day": day, "birth_year": year})
    assert entered.status_code == httpx.codes.SEE_OTHER, entered.status_code
    calm = calm_answers((await browser.get(entered.headers["location"])).text)
    return calm | {name: value for name, value in WORRYING.items() if name in calm}


async def _links(ground: Ground, count: int) -> list[str]:
    """Infusions of yesterday, charted now, of patients for whom it is about noon: their messages leave at once."""
    folder = ground.installation.folder / "messages"
    zone = next(zone for zone in _ZONES if datetime.now(ZoneInfo(zone)).hour in _MIDDAY)
    began = datetime.now(UTC) - _VISIT_BEGAN
    for _ in range(count):
        await _visit(ground, zone, began)
    sent = await eventually(partial(_sent, folder), lambda sent: len(sent) >= count, within=120, every=0.2)
    return [json.loads(path.read_text())["link"] for path in sent[:count]]


async def _sent(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))  # noqa: ASYNC240 - a handful of files


async def _visit(ground: Ground, zone: str, began: datetime) -> None:
    clinic = ground.clinic
    patient = await clinic.admitted(zone)
    booking = {"patient_id": str(patient.patient_id), "course_id": str(patient.course_id), "scheduled_at": began.isoformat()}
    booked = await clinic.system.post("/sessions/v1/infusions", booking, acting=UUID(clinic.staff["coordinator"]))
    for step, body, by in steps(began):
        await clinic.system.post(f"/sessions/v1/infusions/{booked['infusion_id']}/{step}", body, acting=UUID(clinic.staff[by]))


@asynccontextmanager
async def beside(work: Work, ground: Ground, per_second: float, seconds: float) -> AsyncIterator[None]:
    """Completions at a steady rate while the block runs."""
    waiting = await ground.waiting(max(1, int(per_second * seconds)))
    load = asyncio.create_task(pace(work, waiting, per_second))
    try:
        yield
    finally:
        await load
