"""What intake tells: how long until the other services act on it, with completions going on beside it."""

import asyncio
import time
from uuid import UUID, uuid4

import httpx

from tests.benchmarks.answers import beside
from tests.benchmarks.ground import Ground
from tests.benchmarks.load import Work

_ASKED = {"sessions": "/sessions/v1/infusions/{}/no-show", "followup": "/followup/v1/tasks/{}/claim"}
"""Steps that a coordinator may take, of something that is not there: 404 while the role counts, 403 once it is taken."""
_GIVE_UP_SECONDS = 30.0


async def news(work: Work, ground: Ground, count: int, per_second: float) -> dict[str, dict[str, float]]:
    """Milliseconds from the answer of intake that a role was taken away to the first refusal of each service for it."""
    waits: dict[str, list[float]] = {name: [] for name in _ASKED}
    async with beside(work, ground, per_second, seconds=count * 0.3 + 2):
        for _ in range(count):
            hired = await _hired(ground)
            await asyncio.gather(*(_until(ground, name, hired, httpx.codes.NOT_FOUND) for name in _ASKED))
            await ground.system.patch(f"/intake/v1/practitioners/{hired}", {"roles": ["auditor"]}, 1)
            began = time.monotonic()
            ends = await asyncio.gather(*(_until(ground, name, hired, httpx.codes.FORBIDDEN) for name in _ASKED))
            for name, end in zip(_ASKED, ends, strict=True):
                waits[name].append((end - began) * 1000)
    return {name: _figures(sorted(measured)) for name, measured in waits.items()}


async def _hired(ground: Ground) -> UUID:
    body = {"given_name": "Test", "family_name": "Leaving", "roles": ["coordinator"]}
    return UUID((await ground.system.post("/intake/v1/practitioners", body))["practitioner_id"])


async def _until(ground: Ground, service: str, practitioner_id: UUID, status: int) -> float:
    """When a service first answered so."""
    origin = f"http://127.0.0.1:{ground.installation.one(service).port}"
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    async with httpx.AsyncClient(base_url=origin, trust_env=False, timeout=30) as client:
        while True:
            headers = {
                "Authorization": f"Bearer {await ground.system.access_token()}",
                "Afterglow-Practitioner": str(practitioner_id),
                "Idempotency-Key": f'"{uuid4()}"',
            }
            answer = await client.post(_ASKED[service].format(uuid4()), json={}, headers=headers)
            if answer.status_code == status:
                return time.monotonic()
            assert time.monotonic() < deadline, f"{service} still answers {answer.status_code}"
            await asyncio.sleep(0.002)


def _figures(waits: list[float]) -> dict[str, float]:
    return {"p50_ms": waits[len(waits) // 2], "p99_ms": waits[len(waits) * 99 // 100], "count": len(waits)}
