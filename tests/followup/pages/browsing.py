"""The patients' pages as an app, and a browser without JavaScript in front of it."""

from collections.abc import Mapping
from urllib.parse import urlencode

import httpx
from fastapi import FastAPI

from services.followup.pages.api import PatientPages, patient_pages
from shared.telemetry import Metrics
from shared.web.headers import Outermost
from tests.followup.checkins.world import PUBLIC_URL, World

RIGHT = {"birth_month": "3", "birth_day": "27", "birth_year": "1985"}
WRONG = {"birth_month": "3", "birth_day": "28", "birth_year": "1985"}
FORM = "application/x-www-form-urlencoded"


def app_of(world: World, *, public_url: str = PUBLIC_URL) -> FastAPI:
    """The app, as the service makes it around these routes."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(patient_pages(PatientPages(world.database, world.clock, world.setup, public_url)))
    app.add_middleware(Outermost, metrics=Metrics("followup"), https=public_url.startswith("https://"))
    return app


def browser(app: FastAPI, *, public_url: str = PUBLIC_URL) -> httpx.AsyncClient:
    """Keeps cookies, follows nothing by itself."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=public_url)


async def send(client: httpx.AsyncClient, path: str, fields: Mapping[str, object], **headers: str) -> httpx.Response:
    """Send a form as a browser does from our own page."""
    sent = {"content-type": FORM, "sec-fetch-site": "same-origin", **headers}
    return await client.post(path, content=urlencode(fields), headers=sent)


async def signed_in(world: World, client: httpx.AsyncClient, **contact: str) -> str:
    """Open the link of a new check-in with the right birth date; returns the link's path. ``contact`` is what intake says otherwise."""
    if contact:
        world.known(world.patient_id, **contact)
    _, path = await world.sent()
    answer = await send(client, path, RIGHT)
    assert answer.status_code == 303
    return path


def calm(world: World, **changed: object) -> dict[str, object]:
    """All answers of the form after an infusion, none of them worrying but for what is changed."""
    quiet: dict[str, object] = {"yes-no": "no", "bother": 0, "scale": 0}
    form = world.setup.forms.of_check_in["C24"]
    return {item.item_id: quiet[item.kind] for item in form.items.values()} | changed
