"""The followup service on a real PostgreSQL, reached through its HTTP edge; every test gets a clinic of its own."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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


@asynccontextmanager
async def built(databases: Databases, folder: Path) -> AsyncIterator[Service]:
    """The service on a database of its own, wired and not running: tests hand it events and move its clock."""
    key = ECKey.generate_key("P-384", {"kid": "followup", "alg": "ES384", "use": "sig"}, private=True)
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
        service = build(settings, LocalBus(), FrozenClock(NEW_YORK_MORNING))
        service.jwks = StaticJwks({"keys": [KEY.as_dict(private=False)]})
        yield service
        await service.database.close()


@asynccontextmanager
async def asked(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to a service that listens nowhere."""
    transport = httpx.ASGITransport(app=application(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://followup.test") as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def followup(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with built(databases, tmp_path_factory.mktemp("messages")) as service:
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def followup_http(followup: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with asked(followup) as client:
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
