"""Further edges of the tiny service: a patient's link, a session of staff, forms, FHIR, a filter that may be repeated."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.db import Database, enter_clinic
from shared.errors import Conflict, DomainError, NotFound, Unavailable
from shared.security.caller import Caller, Kind
from shared.web import (
    FHIR_JSON,
    Admitted,
    AfterCommit,
    Asked,
    Body,
    Call,
    Form,
    FormBody,
    Ground,
    PublicCall,
    Refusal,
    Router,
    access,
    patient_access,
    public_access,
    staff_access,
)
from shared.web.call import surroundings_of
from shared.web.fhir import FHIR, resource_response
from shared.web.frame import open_frame
from shared.web.marks import Marks
from tests.shared.web.tiny import Note

COOKIE = "session"


class Pages:
    """Refusals as a page."""

    described: Mapping[str, Any] = {"text/html": {}}  # Any: JSON values

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        return HTMLResponse(f"<p>{refusal.code}</p>", status_code=refusal.status, headers=dict(refusal.headers))


PAGES = Pages()


@dataclass(frozen=True)
class NoteLink:
    """A link is a note's id, in the address, and opens that note."""

    clinic_id: UUID
    kinds: Collection[Kind] = frozenset[Kind]({"patient"})

    def ground(self, request: Request) -> Ground:
        return surroundings_of(request.app)

    async def caller(self, request: Request) -> None:
        """Only the database knows."""

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        await enter_clinic(db, self.clinic_id)
        note = (await db.exec(select(Note).where(col(Note.note_id) == UUID(request.path_params["link"])))).one_or_none()
        if note is None:
            raise DomainError("link-gone", "There is no such link.", status=410)
        caller = Caller("patient-link", "patient", self.clinic_id, frozenset({"patient/Note.ru"}))
        subject = f"Note/{note.note_id}"
        return Admitted(caller=caller, clinic_id=self.clinic_id, patient_id=note.patient_id, subject=subject, opens=note)


@dataclass(frozen=True)
class StaffCookie:
    """A session is a practitioner's id in a cookie."""

    clinic_id: UUID
    kinds: Collection[Kind] = frozenset[Kind]({"staff"})

    def ground(self, request: Request) -> Ground:
        return surroundings_of(request.app)

    async def caller(self, request: Request) -> None:
        """Only the database knows."""

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        if COOKIE not in request.cookies:
            raise DomainError("sign-in-required", "Sign in.", status=401)
        practitioner_id = UUID(request.cookies[COOKIE])
        answers = surroundings_of(request.app).answers
        opened = await open_frame(db, self.clinic_id, "staff-session", practitioner_id, None, answers)
        caller = Caller("staff-session", "staff", self.clinic_id, frozenset({"system/Note.r", "system/Note.u"}), practitioner_id)
        return Admitted(caller=caller, clinic_id=self.clinic_id, practitioner_id=practitioner_id, standing=opened.standing)


class NewTitle(Body):
    title: str


def routers(database: Database, clinic_id: UUID) -> list[Router]:
    """One of each."""
    return [_pages_of_patients(database, clinic_id), _pages_of_staff(clinic_id), _fhir(), _filters()]


def _pages_of_patients(database: Database, clinic_id: UUID) -> Router:
    form = FormBody({"title"}, repeatable={"word"}, max_characters=100)
    router = Router(credential=NoteLink(clinic_id), body=form, answers=PAGES, include_in_schema=False)

    @router.get("/p/help")
    @public_access("numbers to call")
    async def show_help(call: PublicCall) -> Response:
        if call.clock.now().year == 1:
            raise Conflict("never", "Never.")
        return HTMLResponse("help")

    @router.get("/p/{link}")
    @patient_access("patient/Note.r", phi="read")
    async def show_own_note(link: str, call: Call, again: str | None = None) -> Response:
        assert isinstance(call.opens, Note)
        return HTMLResponse(f"{call.opens.title} {again}")

    @router.post("/p/{link}")
    @patient_access("patient/Note.u", phi="write")
    async def rename_own_note(link: str, form: Form, call: Call) -> Response:
        """The page is made after the commit, and tells what was committed."""
        assert isinstance(call.opens, Note)
        title = form.get("title", "") + " ".join(form.every("word"))
        if title == "refuse":
            raise Conflict("refused", "Not now.")
        if title == "fail":
            raise RuntimeError("something about Jane Doe")
        call.opens.title = title
        note_id = call.opens.note_id

        async def told() -> Response:
            if title == "away":
                raise Unavailable
            async with database.transaction(clinic_id) as db:
                committed = (await db.exec(select(Note.title).where(col(Note.note_id) == note_id))).one()
            return Response(committed, status_code=303, headers={"location": f"/p/{link}"})

        return AfterCommit(told, status_code=201)

    @router.delete("/p/{link}")
    @patient_access("patient/Note.d")
    async def drop_own_note(link: str) -> Response:
        return HTMLResponse("no link has the right to this")

    return router


def _pages_of_staff(clinic_id: UUID) -> Router:
    router = Router(credential=StaffCookie(clinic_id), body=FormBody({"title"}), answers=PAGES, include_in_schema=False)

    @router.get("/s/notes/{note_id}")
    @staff_access("system/Note.r", person=("nurse",), phi="read")
    async def show_note_page(note_id: UUID, call: Call) -> Response:
        return HTMLResponse(str((await _note(call, note_id)).title))

    @router.post("/s/notes/{note_id}")
    @staff_access("system/Note.u", person=("nurse",), phi="write")
    async def rename_note_page(note_id: UUID, form: Form, call: Call) -> Response:
        (await _note(call, note_id)).title = form["title"]
        return HTMLResponse("done")

    return router


def _fhir() -> Router:
    router = Router(prefix="/fhir", body=FHIR_JSON, answers=FHIR)

    @router.get("/Basic/{note_id}")
    @access("system/Note.r", system_or_person=("nurse",), phi="read")
    async def read_basic(note_id: UUID, call: Call) -> Response:
        """A note as a resource."""
        note = await _note(call, note_id)
        call.etag(note.version)
        return resource_response({"resourceType": "Basic", "id": str(note.note_id), "author": None, "extension": []})

    @router.post("/Basic")
    @access("system/Note.c", system_or_person=("nurse",), phi="write")
    async def write_basic(body: NewTitle, call: Call) -> Response:
        """Take a resource, and say no."""
        raise Conflict("state", f"Not in this state, for {len(body.title)} characters.")

    return router


def _filters() -> Router:
    router = Router(prefix="/tiny/v1")

    @router.get("/found", response_model=list[int])
    @access("system/Note.r", system_or_person=("nurse",))
    async def find_numbers(call: Call, number: Annotated[list[int] | None, Query()] = None, word: str | None = None) -> list[int]:
        """A filter that may be there several times, and one that may not."""
        return number or []

    return router


async def _note(call: Call, note_id: UUID) -> Note:
    note = (await call.db.exec(select(Note).where(col(Note.note_id) == note_id))).one_or_none()
    if note is None:
        raise NotFound
    call.patient(note.patient_id)
    return note
