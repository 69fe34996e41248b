"""The patients' pages as an app, and a browser without JavaScript in front of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
from fastapi import FastAPI

from services.followup.outreach.contacts import KnownContact
from services.followup.pages.api import patient_pages
from services.followup.pages.means import PageMeans
from shared.errors import Unavailable
from shared.telemetry import Metrics
from shared.web.headers import Outermost
from tests.followup.checkins.world import PUBLIC_URL, SECRET, World

RIGHT = {"birth_month": "3", "birth_day": "27", "birth_year": "1985"}
WRONG = {"birth_month": "3", "birth_day": "28", "birth_year": "1985"}
FORM = "application/x-www-form-urlencoded"
_MARK = re.compile(r'name="mark" value="([^"]*)"')


@dataclass(frozen=True)
class Facts:
    """What intake says of a patient's page, beside what it says of a contact."""

    birth_date_salt: str
    birth_date_hash: str
    sender_name: str
    clinic_phone: str
    crisis_line: str
    time_zone: str
    clinic_active: bool = True


@dataclass
class IntakeOfPages:
    """Intake as the pages ask it: it knows what the contacts of the world know, and ``changed`` since."""

    world: World
    changed: dict[str, Any]  # Any: fields of Facts

    async def page_facts(self, clinic_id: UUID, patient_id: UUID) -> Facts:
        self.world.contacts.asked += 1
        if self.world.contacts.away:
            raise Unavailable("Intake does not answer.")
        contact = self.world.contacts.contacts.get(patient_id, KnownContact())
        known = {name: getattr(contact, name) for name in ("sender_name", "clinic_phone", "crisis_line")}
        born = {"birth_date_salt": contact.birth_date_salt or "", "birth_date_hash": contact.birth_date_hash or ""}
        return Facts(**{**known, **born, "time_zone": self.world.zone, **self.changed})


class PatientBrowser(httpx.AsyncClient):
    """Keeps cookies, follows nothing by itself, and remembers the mark of the form that it showed last."""

    mark = ""

    async def request(self, method: str, url: Any, **options: Any) -> httpx.Response:  # Any: as httpx takes them
        answer = await super().request(method, url, **options)
        found = _MARK.search(answer.text)
        self.mark = found[1] if found else self.mark
        return answer


def app_of(world: World, *, public_url: str = PUBLIC_URL, **changed: Any) -> FastAPI:  # Any: what intake says now
    """The app, as the service makes it around these routes."""
    means = PageMeans(world.database, world.clock, world.setup, public_url, SECRET, IntakeOfPages(world, changed))
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(patient_pages(means))
    app.add_middleware(Outermost, metrics=Metrics("followup"), https=public_url.startswith("https://"))
    return app


def browser(app: FastAPI, *, public_url: str = PUBLIC_URL, cookies: httpx.Cookies | None = None) -> PatientBrowser:
    """Keeps cookies, follows nothing by itself."""
    return PatientBrowser(transport=httpx.ASGITransport(app), base_url=public_url, cookies=cookies)


async def post(client: httpx.AsyncClient, path: str, fields: Mapping[str, object], **headers: str) -> httpx.Response:
    """Send a form as a browser does from our own page, and show what is answered."""
    sent = {"content-type": FORM, "sec-fetch-site": "same-origin", **headers}
    return await client.post(path, content=urlencode(fields), headers=sent)


async def send(client: httpx.AsyncClient, path: str, fields: Mapping[str, object], **headers: str) -> httpx.Response:
    """The same, and go to where it leads. Answers and calls for help are sent from the form that was shown last."""
    if path in ("/c", "/c/help"):
        assert isinstance(client, PatientBrowser)
        fields = {"mark": client.mark, **fields}
    answer = await post(client, path, fields, **headers)
    return await client.get(answer.headers["location"]) if answer.status_code == httpx.codes.SEE_OTHER else answer


async def signed_in(world: World, client: httpx.AsyncClient, **contact: str) -> str:
    """Open the link of a new check-in with the right birth date; returns the link's path. ``contact`` is what intake says otherwise."""
    if contact:
        world.known(world.patient_id, **contact)
    _, path = await world.sent()
    assert (await send(client, path, RIGHT)).status_code == httpx.codes.OK
    return path


def words(page: httpx.Response) -> str:
    """A page without what is another at every time: marks and handles."""
    return re.sub(r'value="[^"]{100,}"|/c/leave/[^"]*', "", page.text)


async def form_of(client: httpx.AsyncClient) -> httpx.Response:
    """The form of the newest session, asked for again."""
    name = [name for name in client.cookies if "check-in-" in name][-1]
    return await client.get(f"/c/form/{name.partition('check-in-')[2]}")


def calm(world: World, **changed: object) -> dict[str, object]:
    """All answers of the form after an infusion, none of them worrying but for what is changed."""
    quiet: dict[str, object] = {"yes-no": "no", "bother": 0, "scale": 0}
    form = world.setup.forms.of_check_in["C24"]
    return {item.item_id: quiet[item.kind] for item in form.items.values()} | changed
