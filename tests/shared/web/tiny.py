"""A service of notes, with one operation of every kind, to try the edge that all services share."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Query, Request
from pydantic import Field
from sqlalchemy import MetaData, func
from sqlalchemy.orm import registry
from sqlmodel import Field as Column
from sqlmodel import SQLModel, col, select

from shared.db import enter_clinic, utc_column
from shared.errors import Conflict, Forbidden, Invalid, NotFound
from shared.web import (
    Answer,
    Body,
    Call,
    Listing,
    Moment,
    Page,
    PublicCall,
    Router,
    Text,
    access,
    operator_access,
    page_of,
    public_access,
    read_form,
    service_access,
)

TABLES = """
    CREATE TABLE public.note (
        clinic_id uuid NOT NULL,
        note_id uuid NOT NULL,
        patient_id uuid NOT NULL,
        title text NOT NULL,
        dose_mg numeric NOT NULL,
        seen_at timestamptz NOT NULL,
        version int NOT NULL,
        CONSTRAINT pk_note PRIMARY KEY (clinic_id, note_id)
    );
    ALTER TABLE public.note ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.note FORCE ROW LEVEL SECURITY;
    CREATE POLICY inside_clinic ON public.note USING (clinic_id = (SELECT current_setting('app.clinic_id')::uuid));
    GRANT SELECT, INSERT, UPDATE ON public.note TO tiny;
    CREATE TABLE public.clinic (clinic_id uuid PRIMARY KEY, active boolean NOT NULL);
    ALTER TABLE public.clinic ENABLE ROW LEVEL SECURITY;
    ALTER TABLE public.clinic FORCE ROW LEVEL SECURITY;
    CREATE POLICY inside_clinic ON public.clinic USING (clinic_id = (SELECT current_setting('app.clinic_id')::uuid));
    GRANT SELECT, INSERT, UPDATE ON public.clinic TO tiny;
    CREATE TABLE public.promise (
        promise_id int PRIMARY KEY,
        kept_by int NOT NULL REFERENCES public.promise DEFERRABLE INITIALLY DEFERRED
    );
    GRANT INSERT ON public.promise TO tiny;
"""


class Table(SQLModel, registry=registry(metadata=MetaData())):
    pass


class Note(Table, table=True):
    __tablename__ = "note"
    clinic_id: UUID = Column(primary_key=True)
    note_id: UUID = Column(primary_key=True, default_factory=uuid4)
    patient_id: UUID
    title: str
    dose_mg: Decimal
    seen_at: datetime = Column(sa_column=utc_column())
    version: int = 1


class Promise(Table, table=True):
    __tablename__ = "promise"
    promise_id: int = Column(primary_key=True)
    kept_by: int


class Mood(StrEnum):
    CALM = "calm"
    NOT_CALM = "not-calm"


class Place(Body):
    room: int
    floor: Annotated[int, Field(ge=0, le=9)] = 0


class NewNote(Body):
    patient_id: UUID
    title: Annotated[str, Text(100)]
    dose_mg: Annotated[Decimal, Field(gt=0, le=200)]
    seen_at: Moment
    mood: Mood = Mood.CALM
    born_on: date | None = None
    remark: str | None = None
    count: int | None = None
    ratio: float | None = None
    sure: bool | None = None
    places: tuple[Place, ...] = ()
    scores: dict[str, int] | None = None


class NewTitle(Body):
    title: Annotated[str, Text(100)]


class NoteOut(Answer):
    note_id: UUID
    patient_id: UUID
    title: str
    dose_mg: Decimal
    seen_at: datetime
    version: int


router = Router(prefix="/tiny/v1", tags=["Note"])


@router.post("/notes", response_model=NoteOut, status_code=201)
@access("system/Note.c", person=("nurse", "prescriber"), phi="write")
async def write_note(body: NewNote, call: Call) -> NoteOut:
    """Write a note."""
    note = Note(clinic_id=call.clinic_id, patient_id=body.patient_id, title=body.title, dose_mg=body.dose_mg, seen_at=body.seen_at)
    call.db.add(note)
    call.patient(note.patient_id)
    call.created(f"/tiny/v1/notes/{note.note_id}")
    call.etag(note.version)
    return NoteOut.model_validate(note)


@router.get("/notes", response_model=Listing[NoteOut])
@access("system/Note.r", system_or_person=("nurse", "prescriber"), phi="read")
async def list_notes(call: Call, page: Page, title: Annotated[str | None, Query(max_length=100)] = None) -> Listing[NoteOut]:
    """List notes by time."""
    statement = select(Note).order_by(col(Note.seen_at), col(Note.note_id))
    if title is not None:
        statement = statement.where(Note.title == title)
    return (await page_of(call, statement, page)).listing(NoteOut.model_validate)


@router.get("/notes/{note_id}", response_model=NoteOut)
@access("system/Note.r", system_or_person=("nurse", "prescriber"), phi="read")
async def read_note(note_id: UUID, call: Call) -> NoteOut:
    """Read a note."""
    note = await _note(call, note_id)
    call.etag(note.version)
    return NoteOut.model_validate(note)


@router.patch("/notes/{note_id}", response_model=NoteOut)
@access("system/Note.u", person=("nurse",), phi="write")
async def rename_note(note_id: UUID, body: NewTitle, call: Call) -> NoteOut:
    """Change a note's title."""
    note = await _note(call, note_id)
    call.require_version(note.version)
    note.title, note.version = body.title, note.version + 1
    call.etag(note.version)
    return NoteOut.model_validate(note)


@router.post("/notes/{note_id}/sign", response_model=NoteOut)
@access("system/Note.u", system_or_person=("nurse",), phi="write")
async def sign_note(note_id: UUID, call: Call) -> NoteOut:
    """Sign a note, once."""
    note = await _note(call, note_id)
    call.expect_version(note.version)
    if note.version > 1:
        raise Conflict("state", "The note is signed.", extra={"state": "signed", "allowed": []})
    note.version += 1
    return NoteOut.model_validate(note)


@router.post("/promises", response_model=None)
@access("system/Note.c", system_or_person=("nurse",), phi="write")
async def break_a_promise(call: Call) -> None:
    """Break a constraint that the database checks when it commits."""
    call.db.add(Promise(promise_id=1, kept_by=2))


@router.post("/refusals", response_model=None)
@access("system/Note.c", system_or_person=("nurse",))
async def refuse(call: Call) -> None:
    """Write, and then refuse."""
    call.db.add(Note(clinic_id=call.clinic_id, patient_id=uuid4(), title="x", dose_mg=Decimal(1), seen_at=call.now))
    await call.db.flush()
    raise Forbidden("not-today", "Not today.")


@router.post("/failures", response_model=None)
@access("system/Note.c", system_or_person=("nurse",))
async def fail(call: Call) -> None:
    """Fail as only a defect does."""
    raise RuntimeError(f"something about Jane Doe in {call.clinic_id}")


@router.get("/counts", response_model=int)
@access("system/Note.r", system_or_person=("nurse",))
async def count_notes(call: Call) -> int:
    """How many notes there are."""
    return (await call.db.exec(select(func.count()).select_from(Note))).one()


@router.get("/facts", response_model=list[NoteOut])
@service_access("service/Note.r", phi="read")
async def list_facts(call: Call) -> list[NoteOut]:
    """All notes of the named clinic."""
    return [NoteOut.model_validate(note) for note in (await call.db.exec(select(Note))).all()]


class NewClinic(Body):
    clinic_id: UUID


@router.post("/clinics", response_model=None, status_code=201)
@operator_access("system/Organization.c")
async def open_clinic(body: NewClinic, call: Call) -> None:
    """Open a clinic, with a first note inside it."""
    if body.clinic_id.int == 0:
        raise Invalid("reference-not-found", "There is no such clinic.")
    await enter_clinic(call.db, body.clinic_id)
    call.db.add(Note(clinic_id=body.clinic_id, patient_id=uuid4(), title="opened", dose_mg=Decimal(1), seen_at=call.now))


class Wanted(Body):
    note_ids: Annotated[tuple[UUID, ...], Field(max_length=200)]


@router.post("/titles", response_model=dict[UUID, str])
@service_access("service/Note.r", phi="read")
async def look_up_titles(body: Wanted, call: Call) -> dict[UUID, str]:
    """Titles of the notes that are named; a POST that only reads."""
    found = await call.db.exec(select(Note).where(col(Note.note_id).in_(body.note_ids)))
    return {note.note_id: note.title for note in found}


@router.post("/greetings", response_model=str)
@public_access("takes a form from everybody")
async def greet(request: Request) -> str:
    """Answer a form."""
    return f"{len(await read_form(request))} fields"


@router.get("/hello", response_model=str)
@public_access("says hello to everybody")
async def hello(call: PublicCall) -> str:
    """Say hello."""
    return call.request_id


async def _note(call: Call, note_id: UUID) -> Note:
    note = (await call.db.exec(select(Note).where(Note.note_id == note_id).with_for_update())).one_or_none()
    if note is None:
        raise NotFound
    call.patient(note.patient_id)
    return note
