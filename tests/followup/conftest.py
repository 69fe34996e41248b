"""The followup service on a real PostgreSQL, reached through its HTTP edge; every test gets a clinic of its own."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import ECKey
from sqlalchemy import text

from services.followup.app import build
from services.followup.settings import Settings
from shared.clock import FrozenClock
from shared.local import LocalBus
from shared.security.tokens import StaticJwks
from shared.service import Service
from shared.web import application
from tests.conftest import NEW_YORK_MORNING
from tests.followup.clinic import KEY, Clinic
from tests.support.databases import Databases


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def followup(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The service, wired and not running: tests hand it events and move its clock."""
    key = ECKey.generate_key("P-384", {"kid": "followup", "alg": "ES384", "use": "sig"}, private=True)
    folder: Path = tmp_path_factory.mktemp("messages")
    async with databases.clone("followup") as url:
        settings = Settings.model_validate(
            {
                "AFTERGLOW_ENV": "test",
                "database_url": url,
                "cursor_key": "a cursor key that only tests know of",
                "client_key": json.dumps(key.as_dict(private=True)),
                "link_secret": "a link secret that only tests know of",
                "outbox_folder": folder,
            }
        )
        built = build(settings, LocalBus(), FrozenClock(NEW_YORK_MORNING))
        built.jwks = StaticJwks({"keys": [KEY.as_dict(private=False)]})
        yield built
        await built.database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def followup_http(followup: Service) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(followup))
    async with httpx.AsyncClient(transport=transport, base_url="http://followup.test") as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def open_clinic(followup: Service, followup_http: httpx.AsyncClient) -> Callable[[], Awaitable[Clinic]]:
    """Opens clinics that have nothing to do with each other; what earlier tests had set a timer for does not happen any more."""
    clock = followup.clock
    assert isinstance(clock, FrozenClock)
    clock.set(NEW_YORK_MORNING)
    async with followup.database.transaction() as db:
        await db.execute(text("UPDATE platform.timer SET state = 'disarmed' WHERE state = 'armed'"))

    async def opened() -> Clinic:
        clinic = Clinic(followup, followup_http, clock)
        await clinic.open()
        return clinic

    return opened


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(open_clinic: Callable[[], Awaitable[Clinic]]) -> Clinic:
    return await open_clinic()
