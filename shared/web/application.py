"""A service's HTTP app, complete: routes with declared access, problems, headers and lifespan."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from shared.security.access import Undeclared, census
from shared.security.tokens import HttpJwks, TokenVerifier
from shared.web import idempotency, openapi, problems
from shared.web.call import Surroundings
from shared.web.headers import Outermost
from shared.web.paging import Cursors

if TYPE_CHECKING:
    from shared.service import Service


def application(service: "Service") -> FastAPI:
    """The app of a service. Raises Undeclared when a route says nothing about who may call it."""
    settings = service.settings
    jwks = service.jwks or HttpJwks(f"{settings.intake_url}/intake/.well-known/jwks.json")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.running(), _housekeeping(service):
            yield
        if isinstance(jwks, HttpJwks):
            await jwks.close()

    app = FastAPI(
        title=f"Afterglow {service.name}",
        version="1",
        lifespan=lifespan,
        openapi_url=None if settings.env == "production" else f"/{service.name}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.surroundings = Surroundings(
        database=service.database,
        clock=service.clock,
        public_url=settings.public_url,
        verifier=TokenVerifier(jwks, audience=service.name, issuer=settings.token_issuer),
        cursors=Cursors(settings.cursor_key.get_secret_value()),
        answers=idempotency.AnswerSeal(settings.cursor_key.get_secret_value()),
        records=service.records,
    )
    for router in service.routers:
        app.include_router(router)
    problems.install(app)
    openapi.install(app, token_url=f"{settings.public_url}/intake/oauth/token")
    app.add_middleware(Outermost, metrics=service.metrics, https=settings.public_url.startswith("https://"))
    declared = census(app, also=[app.openapi_url] if app.openapi_url else ())
    _refuse_nameless({name for name, access in declared.items() if access.phi != "none" and access.kind != "patient"}, service.records)
    return app


def _refuse_nameless(operations: Collection[str], records: Mapping[str, str]) -> None:
    """Raises Undeclared for an address that names a record of which nothing says whose it is: its refusals would name no patient.

    Of a patient's own link that is not asked: whoever it admits is the patient.
    """
    for operation in operations:
        named = set(_PLACE.findall(operation))
        if named and named.isdisjoint({"patient_id", *records}):
            raise Undeclared(f"{operation} names a record, and the service's records do not say whose it is")


_PLACE = re.compile(r"\{(\w+)\}")


@asynccontextmanager
async def _housekeeping(service: "Service") -> AsyncIterator[None]:
    """Forgets old idempotent answers while the service runs."""
    stop = asyncio.Event()
    forgetting = asyncio.create_task(idempotency.keep_forgetting(service.database, stop))
    try:
        yield
    finally:
        stop.set()
        await forgetting
