"""The tiny service of ``tiny.py`` on a real database, and a client of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest_asyncio

from shared.clock import FrozenClock
from shared.db import Database
from shared.events.intake import ClientChanged, PractitionerChanged
from shared.local import LocalBus
from shared.security.projection import upsert_client, upsert_practitioner
from shared.security.tokens import StaticJwks
from shared.service import Service
from shared.settings import ServiceSettings
from shared.telemetry import Metrics
from shared.web import application
from tests.shared.web import tiny
from tests.shared.web.client import CLIENT, CLINIC, JWKS, NOW, NURSE, ORIGIN, OTHER_CLINIC, PRESCRIBER_ELSEWHERE, SECOND_NURSE, Client
from tests.support.databases import Databases


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(databases: Databases) -> AsyncIterator[Service]:
    """The service, built but not running: nothing here needs its relay. One for each module, whose tests share its rows."""
    clock = FrozenClock(NOW)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(databases.clone("tiny"))
        await _make_tables(databases, url)
        given = {"AFTERGLOW_ENV": "test", "AFTERGLOW_PUBLIC_URL": ORIGIN, "database_url": url, "cursor_key": "k" * 32}
        settings = ServiceSettings.model_validate(given)
        database = Database(url, name="tiny", pool_size=6)
        stack.push_async_callback(database.close)
        await _introduce(database, clock)
        yield Service(
            name="tiny",
            settings=settings,
            database=database,
            bus=LocalBus(),
            clock=clock,
            metrics=Metrics("tiny"),
            routers=[tiny.router],
            records={"note_id": "note"},
            jwks=StaticJwks(JWKS),
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(service: Service) -> AsyncIterator[Client]:
    """A clinic system of CLINIC that acts for NURSE unless told otherwise."""
    app = application(service)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield Client(http, service.database, app)


async def _make_tables(databases: Databases, url: str) -> None:
    owner = await databases.server.admin(url.rpartition("/")[2].partition("?")[0])
    await owner.execute(tiny.TABLES)
    await owner.close()


async def _introduce(database: Database, clock: FrozenClock) -> None:
    """What intake's events would have told this service."""
    now = clock.now()
    async with database.transaction(CLINIC) as db:
        known = [ClientChanged(client_id=CLIENT, client_version=1, active=True, may_act_for_practitioners=True, occurred_at=now)]
        await upsert_client(db, CLINIC, known)
        nurses = [
            PractitionerChanged(practitioner_id=nurse, practitioner_version=1, roles=["nurse"], active=True, occurred_at=now)
            for nurse in (NURSE, SECOND_NURSE)
        ]
        await upsert_practitioner(db, CLINIC, nurses)
    async with database.transaction(OTHER_CLINIC) as db:
        stranger = PractitionerChanged(
            practitioner_id=PRESCRIBER_ELSEWHERE, practitioner_version=1, roles=["prescriber"], active=True, occurred_at=now
        )
        await upsert_practitioner(db, OTHER_CLINIC, [stranger])
