"""What an endpoint gets of the request: the transaction, the caller and the clinic, and a place to note what the answer must carry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import versions
from shared.clock import Clock
from shared.db import Database
from shared.security.caller import Actor, Caller
from shared.security.tokens import TokenVerifier
from shared.web.forms import Fields
from shared.web.marks import marks_of

if TYPE_CHECKING:
    from shared.web.idempotency import AnswerSeal
    from shared.web.paging import Cursors


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What operations stand on, whoever calls them. ``public_url`` is the origin under which browsers open them."""

    database: Database
    clock: Clock
    public_url: str = ""
    cursors: "Cursors | None" = None
    """Of lists; None where there are none."""
    records: Mapping[str, str] = field(default_factory=dict)
    """Which table says whose record an id is, by the name that addresses give it: for the trail of what was refused."""


@dataclass(frozen=True, kw_only=True)
class Surroundings(Ground):
    """The same of one service, with what registered clients need; put on the app when it is built."""

    verifier: TokenVerifier
    answers: "AnswerSeal"


@dataclass(slots=True, kw_only=True)
class CallContext:
    """One request inside its transaction. ``now`` is the business clock's; an operator's ``clinic_id`` is the nil UUID."""

    db: AsyncSession
    caller: Caller
    clinic_id: UUID
    now: datetime
    request_id: str
    if_match: int | None
    path: str
    filters: list[tuple[str, str]]
    """The query without limit and cursor."""
    cursors: "Cursors | None"
    opens: object = None
    """What the credential stands for, where that is more than a caller."""
    patient_id: UUID | None = None
    patient_ids: set[UUID] = field(default_factory=set)
    subject: str | None = None
    purpose: str | None = None
    _status: int | None = None
    _headers: dict[str, str] = field(default_factory=dict)

    @property
    def actor(self) -> Actor:
        """Who acts, for a use case."""
        who = self.caller
        return Actor(who.actor, who.practitioner_id, who.roles, who.scopes, self.if_match)

    def require_version(self, current: int) -> None:
        """Raises 428 without If-Match, 412 when it names another version than ``current``."""
        versions.require(self.if_match, current)

    def expect_version(self, current: int) -> None:
        """For a step, which the record's state guards: raises 412 when If-Match is given and names another version."""
        if self.if_match is not None:
            versions.require(self.if_match, current)

    def patient(self, patient_id: UUID) -> None:
        """Name the patient for the audit row."""
        self.patient_id = patient_id

    def saw(self, patient_ids: Iterable[UUID]) -> None:
        """Name patients whom a list shows, or who were asked for, for the audit row; ``page_of`` does so for what it found."""
        self.patient_ids.update(patient_ids)

    def replays(self, patient_id: UUID | None, headers: Mapping[str, str]) -> None:
        """Name what the first answer was about: it is shown again."""
        self.patient_id = patient_id
        self._headers |= {"Location": headers["location"]} if "location" in headers else {}

    def about(self, subject: str, *, purpose: str | None = None) -> None:
        """Name what the deed is about, and why it is done, for the audit row; a new record's address does so by itself."""
        self.subject, self.purpose = subject, purpose

    def etag(self, version: int) -> None:
        """Answer with the record's version."""
        self._headers["ETag"] = versions.etag(version)

    def created(self, location: str) -> None:
        """Answer 201 with the new record's address."""
        self._status = 201
        self._headers["Location"] = location

    def link(self, address: str, *, rel: str) -> None:
        """Answer with a related address."""
        self._headers["Link"] = f'<{address}>; rel="{rel}"'

    @property
    def location(self) -> str | None:
        """The new record's address, once it was named."""
        return self._headers.get("Location")

    def complete(self, response: Response) -> None:
        """Put what was noted into the answer."""
        response.status_code = self._status or response.status_code
        response.headers.update(self._headers)


class CallRequest(Request):
    """The request as the framework sees it behind our door: body already read and parsed, the call at hand."""

    def __init__(self, request: Request, call: CallContext, body: bytes, document: object) -> None:
        super().__init__(request.scope, request.receive)
        self.call = call
        self._read = body
        self._document = document

    async def body(self) -> bytes:
        return self._read

    async def json(self) -> object:
        return self._document


@dataclass(frozen=True, slots=True)
class PublicContext:
    """A request to a public operation, which opens its own transactions."""

    database: Database
    clock: Clock
    request_id: str


def surroundings_of(app: FastAPI) -> Surroundings:
    """What was put on the app when it was built."""
    surroundings: Surroundings = app.state.surroundings
    return surroundings


async def _current_call(request: Request) -> CallContext:
    if not isinstance(request, CallRequest):
        raise TypeError("a public operation has no call; ask for PublicCall")
    return request.call


async def _current_public_call(request: Request) -> PublicContext:
    surroundings = surroundings_of(request.app)
    return PublicContext(surroundings.database, surroundings.clock, marks_of(request.scope).request_id)


Call = Annotated[CallContext, Depends(_current_call)]
"""Parameter of every endpoint that is not public."""


async def _current_form(request: Request) -> Fields:
    document = await request.json() if isinstance(request, CallRequest) else None
    if not isinstance(document, Fields):
        raise TypeError("the router of this operation reads no forms; give it a FormBody")
    return document


Form = Annotated[Fields, Depends(_current_form)]
"""Parameter of an endpoint that reads a form."""

PublicCall = Annotated[PublicContext, Depends(_current_public_call)]
"""Parameter of a public endpoint."""
