"""The addresses that patients open. Each endpoint is one transaction; what goes wrong is a page too."""

from collections.abc import Awaitable
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import answers as answering
from services.followup.checkins.policy import CheckInSetup
from services.followup.pages import commands, rendering, sessions
from services.followup.pages.commands import Opened, Tried
from services.followup.pages.rendering import PageError
from services.followup.pages.requests import BIRTH_DATE_FIELDS, answers_of, birth_date_of, read_fields, require_own_page
from shared.clock import Clock
from shared.db import Database
from shared.errors import DomainError
from shared.security.access import public_access
from shared.security.audit import AuditEvent, append
from shared.web import Router
from shared.web.marks import marks_of


@dataclass(frozen=True)
class PatientPages:
    """What the pages need. ``public_url`` is the origin under which patients open them."""

    database: Database
    clock: Clock
    setup: CheckInSetup
    public_url: str

    @property
    def cookie(self) -> sessions.SessionCookie:
        return sessions.SessionCookie(self.public_url.startswith("https://"), self.setup.policy.session_life)

    async def show_link(self, token: str) -> Response:
        """Mail scanners fetch links, so looking at one changes nothing."""
        async with self.database.transaction() as db:
            opened = await commands.open_link(db, token)
            if opened is None or not opened.usable(self.clock.now(), self.setup.policy):
                return rendering.gone_page()
            return rendering.birth_date_page(opened.link)

    async def check_birth_date(self, request: Request, token: str) -> Response:
        """A right birth date opens a session; a wrong one is counted, one that is no date is not."""
        require_own_page(request, self.public_url)
        birth_date = birth_date_of(await read_fields(request, BIRTH_DATE_FIELDS))
        policy = self.setup.policy
        async with self.database.transaction() as db:
            opened = await commands.open_link(db, token, lock=True)
            if opened is None or not opened.usable(self.clock.now(), policy):
                return rendering.gone_page()
            if birth_date is None:
                return rendering.birth_date_page(opened.link, [_NO_DATE], status=422)
            tried = await commands.try_birth_date(db, opened, birth_date, self.clock.now(), policy)
            await _audited(db, request, opened, "check_birth_date", _STATUS_OF[tried])
            if tried is Tried.DEAD:
                return rendering.gone_page()
            if tried is Tried.WRONG:
                return rendering.birth_date_page(opened.link, [_wrong(policy.max_wrong_tries - opened.link.wrong_tries)], status=401)
            session = await sessions.begin(db, opened.link.clinic_id, opened.link.token_sha256, policy.session_life)
        response = RedirectResponse("/c", status_code=303, headers=dict(rendering.HEADERS))
        self.cookie.set(response, session)
        return response

    async def show_form(self, request: Request) -> Response:
        """The empty form; never what was answered before."""
        async with self.database.transaction() as db:
            opened = await commands.open_session(db, self.cookie.read(request))
            if opened is not None and opened.answered:
                return rendering.thanks_page(opened.link)
            if opened is None:
                return rendering.gone_page()
            if not opened.usable(self.clock.now(), self.setup.policy):
                return rendering.closed_page(opened.link)
            return rendering.form_page(opened.link, answering.form_of(opened.check_in, self.setup))

    async def take_answers(self, request: Request) -> Response:
        """Answers are stored once; a form that is not complete comes back, and what worries in it counts all the same.

        So does what worries in answers to a form that has ended meanwhile, though they are not kept.
        """
        fields = await self._form_fields(request)
        now = self.clock.now()
        async with self.database.transaction() as db:
            opened = await commands.open_session(db, self.cookie.read(request), lock=True)
            if opened is not None and opened.answered:
                return rendering.thanks_page(opened.link)
            if opened is None:
                return rendering.gone_page()
            form = answering.form_of(opened.check_in, self.setup)
            answers, errors = answers_of(form, fields)
            if not opened.usable(now, self.setup.policy):
                if not opened.deceased:
                    await answering.hear(db, opened.check_in.check_in_id, answers, now, self.setup)
                await _audited(db, request, opened, "take_answers", 410)
                return rendering.closed_page(opened.link)
            if errors:
                await answering.keep_refused(db, opened.check_in.check_in_id, answers, now, self.setup)
                await _audited(db, request, opened, "take_answers", 422)
                return rendering.form_page(opened.link, form, answers, errors, status=422)
            await answering.submit(db, opened.check_in.check_in_id, answers, now, self.setup)
            await _audited(db, request, opened, "take_answers", 200)
        return rendering.thanks_page(opened.link)

    async def take_call_for_help(self, request: Request) -> Response:
        """Numbers to call at once; the clinic is told too, where we know who asks, whatever has become of the form meanwhile."""
        fields = await self._form_fields(request)
        now = self.clock.now()
        async with self.database.transaction() as db:
            opened = await commands.open_session(db, self.cookie.read(request), lock=True)
            if opened is None or opened.deceased:
                return rendering.help_page()
            form = answering.form_of(opened.check_in, self.setup)
            answers, _ = answers_of(form, fields)
            await answering.ask_for_help(db, opened.check_in.check_in_id, answers, now, self.setup)
            await _audited(db, request, opened, "take_call_for_help", 200)
        if opened.answered:
            return rendering.thanks_page(opened.link, help_asked=True)
        if not opened.usable(now, self.setup.policy):
            return rendering.closed_page(opened.link, help_asked=True)
        return rendering.form_page(opened.link, form, answers, help_asked=True)

    def leave(self) -> Response:
        """The quick exit: forget the session and go to a page that says nothing."""
        response = RedirectResponse(rendering.ELSEWHERE, status_code=303, headers=dict(rendering.HEADERS))
        self.cookie.clear(response)
        return response

    async def _form_fields(self, request: Request) -> dict[str, str]:
        require_own_page(request, self.public_url)
        known = {item_id for form in self.setup.forms.known.values() for item_id in form.items}
        return await read_fields(request, known)


async def _audited(db: AsyncSession, request: Request, opened: Opened, operation: str, outcome: int) -> None:
    """The trail of what came in by a link: whoever holds it acts as the patient, and the row says no more than that."""
    row = AuditEvent(
        clinic_id=opened.link.clinic_id,
        client_id=_LINK_HOLDER,
        operation=operation,
        action="C",
        phi="write",
        outcome=outcome,
        request_id=marks_of(request.scope).request_id,
        patient_id=opened.check_in.patient_id,
        subject=f"CheckIn/{opened.check_in.check_in_id}",
    )
    await append(db, row)


_LINK_HOLDER = "patient-link"
_STATUS_OF = {Tried.RIGHT: 303, Tried.WRONG: 401, Tried.DEAD: 410}
_SERVER_ERRORS = 500
_AWAY = "Something is not working here at the moment. Please try again in a few minutes."
_NO_DATE = PageError("birth_month", "Enter your date of birth as month, day and year, for example 3 27 1985")


def _wrong(tries_left: int) -> PageError:
    left = "1 try" if tries_left == 1 else f"{tries_left} tries"
    return PageError("birth_month", f"That is not the date of birth we have. You have {left} left.")


def patient_pages(pages: PatientPages) -> Router:
    """The routes. What is not found under ``/c/`` is the page of a dead link, for links get mangled on their way."""
    router = Router(include_in_schema=False)

    @router.get("/c/static/page.css")
    @public_access("the style sheet of the patients' pages")
    async def show_style_sheet() -> Response:
        return rendering.style_sheet()

    @router.get("/c/help")
    @public_access("numbers to call, for everybody")
    async def show_help() -> Response:
        return rendering.help_page()

    @router.post("/c/help")
    @public_access("a call for help; a session of the link tells whose")
    async def take_call_for_help(request: Request) -> Response:
        return await _as_page(pages.take_call_for_help(request))

    @router.get("/c/leave")
    @public_access("the quick exit")
    async def leave() -> Response:
        return pages.leave()

    @router.get("/c")
    @public_access("the form; the session that the link's birth date opened tells whose")
    async def show_form(request: Request) -> Response:
        return await _as_page(pages.show_form(request))

    @router.post("/c")
    @public_access("answers; the session that the link's birth date opened tells whose, and they are stored once")
    async def take_answers(request: Request) -> Response:
        return await _as_page(pages.take_answers(request))

    @router.get("/c/{token:path}")
    @public_access("a patient's link: shows nothing of the patient and changes nothing")
    async def show_link(token: str) -> Response:
        return await _as_page(pages.show_link(token))

    @router.post("/c/{token:path}")
    @public_access("a patient's link: the birth date is compared, five wrong ones kill the link")
    async def check_birth_date(request: Request, token: str) -> Response:
        return await _as_page(pages.check_birth_date(request, token))

    return router


async def _as_page(answer: Awaitable[Response]) -> Response:
    """A refusal is shown as a page, for a person reads it."""
    try:
        return await answer
    except DomainError as refused:
        reason = refused.detail if refused.status < _SERVER_ERRORS else _AWAY
        return rendering.refused_page(refused.status, reason, refused.headers)
