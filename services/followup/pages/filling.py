"""The form: shown, answered, a call for help. What is sent says whose it is by a mark that the form carries.

What was done is always told by the page that the browser is led to, so that "Back" and "Reload" send nothing again. Where the browser
kept no cookie of the form's session there is nothing to lead it by, and the page is the answer itself. It is made after the commit, so it
tells what was really stored.
"""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from fastapi import Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import answers as answering
from services.followup.checkins.work import Lapse
from services.followup.pages import commands, rendering, sessions, telling
from services.followup.pages.commands import Opened
from services.followup.pages.credentials import Entered
from services.followup.pages.drafts import Draft, HelpCall, Note
from services.followup.pages.means import PageMeans
from services.followup.pages.rendering import Place
from services.followup.pages.requests import answers_of, errors_of
from services.followup.pages.seals import Mark
from services.followup.pages.sessions import handle_of
from shared.errors import Unavailable
from shared.web import AfterCommit, Form

_OUTCOMES = {None: 200, Note.INCOMPLETE: 422, Note.UNSAVED: 410, Note.SENT_BEFORE: 409, Note.HELP: 200}
"""As the trail has them."""


class _Seen(NamedTuple):
    """What a page of a check-in is made of, as it stands in the database."""

    opened: Opened
    lapse: Lapse | None
    call: tuple[datetime, datetime] | None


class Filling:
    """Forms and what comes of them."""

    def __init__(self, means: PageMeans) -> None:
        self._means = means

    async def show_form(self, request: Request, db: AsyncSession, came: Entered) -> Response:
        """The form of a session, or what has become of it; what was sent before is never shown."""
        mark = _mark(came)
        seen = await self._seen(request, db, came.opened, mark)
        draft = self._means.cookies.draft(request, mark.whose)
        return AfterCommit(lambda: self._page(seen, mark, draft))

    async def take_answers(self, request: Request, db: AsyncSession, came: Entered, fields: Form, now: datetime) -> Response:
        """Answers are saved once, where the form's own session still runs. Whatever is not saved is told, and what worries is heard."""
        setup, opened, mark = self._means.setup, came.opened, _mark(came)
        answers, missing = answers_of(answering.form_of(opened.check_in, setup), fields)
        lapse = await self._lapse(request, db, mark)
        note = await commands.take(db, opened, answers, now, setup, complete=not missing, lapse=lapse)
        draft = Draft(answers, note, missing if note is Note.INCOMPLETE else ())
        return AfterCommit(lambda: self._told(request, mark, draft, opened, now), status_code=_OUTCOMES[note])

    async def take_call_for_help(self, request: Request, db: AsyncSession, came: Entered, fields: Form, now: datetime) -> Response:
        """Numbers to call at once; the clinic is told where the form says whose it is, whatever has become of it meanwhile."""
        setup, opened, mark = self._means.setup, came.opened, _mark(came)
        answers, _ = answers_of(answering.form_of(opened.check_in, setup), fields)
        lapse, dead = await self._lapse(request, db, mark), opened.deceased
        await answering.ask_for_help(db, opened.check_in.check_in_id, answers, now, setup, lapse=lapse, recorded_dead=dead)
        waiting = self._means.cookies.draft(request, mark.whose)
        draft = waiting.after_help(answers, HelpCall(now, handle_of(mark.session_sha256)))
        return AfterCommit(lambda: self._told(request, mark, draft, opened, now), status_code=_OUTCOMES[Note.HELP])

    async def _told(self, request: Request, mark: Mark, draft: Draft, opened: Opened, now: datetime) -> Response:
        """Leads to the page that tells what became of what was sent; what was not saved waits in this browser."""
        held = self._held(request, mark)
        response = (
            rendering.see(rendering.form_path(handle_of(mark.session_sha256))) if held else await self._page_of_now(request, mark, draft)
        )
        if draft.note is None:
            self._means.cookies.forget_draft(response, mark.whose)
        else:
            waits = opened.usable(now, self._means.setup.policy)
            kept = draft if waits else replace(draft, answers={}, missing=())
            self._means.cookies.keep_draft(request, response, mark.whose, kept)
        return response

    async def _page_of_now(self, request: Request, mark: Mark, draft: Draft) -> Response:
        """As it stands since the commit. What was sent is there already, so a page that cannot be made must not say otherwise."""
        try:
            async with self._means.database.transaction() as db:
                opened = await commands.open_check_in(db, mark.whose.clinic_id, self._means.token(mark.whose))
                if opened is None:
                    return rendering.gone_page()
                seen = await self._seen(request, db, opened, mark)
        except Unavailable:
            return rendering.arrived_page(helped=draft.help_call is not None)
        return await self._page(seen, mark, draft)

    async def _seen(self, request: Request, db: AsyncSession, opened: Opened, mark: Mark) -> _Seen:
        lapse = await self._lapse(request, db, mark)
        return _Seen(opened, lapse, await telling.call_due(db, opened, self._means.setup) if opened.answered else None)

    async def _page(self, seen: _Seen, mark: Mark, draft: Draft) -> Response:
        now, setup, opened = self._means.clock.now(), self._means.setup, seen.opened
        shown = await self._means.shown(opened)
        place = Place(self._means.seals.mark(mark), handle_of(mark.session_sha256), self._means.token(mark.whose))
        told = telling.told_of(draft, place.handle, now, shown.time_zone)
        if not shown.clinic_active:
            return rendering.unread_page(shown, place, told, saved=opened.answered)
        if opened.answered:
            return rendering.thanks_page(shown, place, told, telling.call_by(seen.call, now, shown.time_zone))
        ending = opened.ending(now, setup.policy)
        if ending is not None:
            return rendering.closed_page(shown, place, ending, told)
        if seen.lapse is not None:
            return rendering.again_page(shown, place, told, seen.lapse)
        form = answering.form_of(opened.check_in, setup)
        return rendering.form_page(shown, place, form, told, draft.answers, errors_of(form, draft.missing))

    async def _lapse(self, request: Request, db: AsyncSession, mark: Mark) -> Lapse | None:
        """What is wrong with the session of a form: it is over, or it is not this browser's."""
        if not await sessions.runs(db, mark.session_sha256):
            return Lapse.SESSION_OVER
        return None if self._held(request, mark) else Lapse.NO_SESSION

    def _held(self, request: Request, mark: Mark) -> bool:
        """Whether this browser has the session in which the form was shown."""
        session = self._means.cookies.session(request, handle_of(mark.session_sha256))
        return session is not None and session.mark == mark


def _mark(came: Entered) -> Mark:
    assert came.mark is not None
    return came.mark
