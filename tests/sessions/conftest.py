"""The sessions service on a real PostgreSQL, reached through its HTTP edge; every test gets a clinic of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from services.sessions.app import build
from services.sessions.settings import Settings
from shared.clock import FrozenClock
from shared.local import LocalBus
from shared.security.tokens import StaticJwks
from shared.service import Service
from shared.web import application
from tests.conftest import NEW_YORK_MORNING
from tests.sessions.clinic import KEY, Clinic
from tests.support.databases import Databases


@asynccontextmanager
async def built(databases: Databases) -> AsyncIterator[Service]:
    """The service on a database of its own, wired and not running."""
    async with databases.clone("sessions") as url:
        given = {"AFTERGLOW_ENV": "test", "database_url": url, "cursor_key": "a cursor key that only tests know of"}
        settings = Settings.model_validate(given)
        service = build(settings, LocalBus(), FrozenClock(NEW_YORK_MORNING))
        service.jwks = StaticJwks({"keys": [KEY.as_dict(private=False)]})
        yield service
        await service.database.close()


@asynccontextmanager
async def asked(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to a service that listens nowhere."""
    transport = httpx.ASGITransport(app=application(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://sessions.test") as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(databases: Databases) -> AsyncIterator[Service]:
    async with built(databases) as service:
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with asked(service) as client:
        yield client


@pytest.fixture
def clock(service: Service) -> FrozenClock:
    assert isinstance(service.clock, FrozenClock)
    service.clock.set(NEW_YORK_MORNING)
    return service.clock


@pytest.fixture
def open_clinic(service: Service, http: httpx.AsyncClient, clock: FrozenClock) -> Callable[[], Awaitable[Clinic]]:
    async def opened() -> Clinic:
        clinic = Clinic(service, http, clock)
        await clinic.open()
        return clinic

    return opened


@pytest_asyncio.fixture(loop_scope="session")
async def clinic(open_clinic: Callable[[], Awaitable[Clinic]]) -> Clinic:
    return await open_clinic()
