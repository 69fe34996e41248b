"""The form: shown, answered, a call for help. What is sent says whose it is by a mark that the form carries.

What was done is always told by the page that the browser is led to, so that "Back" and "Reload" send nothing again. Where the browser
kept no cookie of the form's session there is nothing to lead it by, and the page is the answer itself.
"""

from datetime import datetime

from fastapi import Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins import answers as answering
from services.followup.pages import commands, rendering, sessions, telling
from services.followup.pages.auditing import audited
from services.followup.pages.commands import Opened
from services.followup.pages.drafts import Draft, Note
from services.followup.pages.means import PageMeans
from services.followup.pages.rendering import Place
from services.followup.pages.requests import answers_of, errors_of, read_fields, require_own_page
from services.followup.pages.seals import Mark, Whose
from services.followup.pages.sessions import handle_of
from shared.errors import DomainError

_OUTCOMES = {None: 200, Note.INCOMPLETE: 422, Note.UNSAVED: 410, Note.SENT_BEFORE: 409}
"""As the trail has them."""


class Filling:
    """Forms and what comes of them."""

    def __init__(self, means: PageMeans) -> None:
        self._means = means

    async def show_form(self, request: Request, handle: str) -> Response:
        """The form of a session, or what has become of it; what was sent before is never shown."""
        session = self._means.cookies.session(request, handle)
        if session is None:
            return rendering.gone_page()
        return await self._page(session.mark, self._means.cookies.draft(request, session.whose), held=True)

    async def take_answers(self, request: Request) -> Response:
        """Answers are saved once, where the form's own session still runs. Whatever is not saved is told, and what worries is heard."""
        mark, fields = await self._sent(request)
        if mark is None:
            return rendering.gone_page()
        now = self._means.clock.now()
        async with self._means.database.transaction() as db:
            opened = await self._open(db, mark.whose, lock=True)
            if opened is None:
                return rendering.gone_page()
            answers, missing = answers_of(answering.form_of(opened.check_in, self._means.setup), fields)
            running = self._held(request, mark) and await sessions.runs(db, mark.session_sha256)
            setup = self._means.setup
            note = await commands.take(db, opened, answers, now, setup, complete=not missing, running=running)
            await audited(db, request, opened, "take_answers", _OUTCOMES[note])
        return await self._told(request, mark, Draft(answers, note, missing if note is Note.INCOMPLETE else ()), opened, now)

    async def take_call_for_help(self, request: Request) -> Response:
        """Numbers to call at once; the clinic is told where the form says whose it is, whatever has become of it meanwhile.

        Where it cannot be told, for whatever reason, the page says that.
        """
        try:
            mark, fields = await self._sent(request)
            if mark is None:
                return rendering.help_page(untold=True)
            async with self._means.database.transaction() as db:
                opened = await self._open(db, mark.whose, lock=True)
                if opened is None:
                    return rendering.help_page(untold=True)
                answers, _ = answers_of(answering.form_of(opened.check_in, self._means.setup), fields)
                now = self._means.clock.now()
                running = self._held(request, mark) and await sessions.runs(db, mark.session_sha256)
                await answering.ask_for_help(
                    db,
                    opened.check_in.check_in_id,
                    answers,
                    now,
                    self._means.setup,
                    running=running,
                    recorded_dead=opened.deceased,
                )
                await audited(db, request, opened, "take_call_for_help", 200)
        except DomainError as refused:
            return rendering.help_page(untold=True, status=refused.status, headers=refused.headers)
        return await self._told(request, mark, Draft(answers, Note.HELP), opened, now)

    async def _told(self, request: Request, mark: Mark, draft: Draft, opened: Opened, now: datetime) -> Response:
        """Leads to the page that tells what became of what was sent; what was not saved waits in this browser."""
        held = self._held(request, mark)
        response = rendering.see(rendering.form_path(handle_of(mark.session_sha256))) if held else await self._page(mark, draft, held=False)
        if draft.note is None:
            self._means.cookies.forget_draft(response, mark.whose)
        else:
            waits = opened.usable(now, self._means.setup.policy)
            kept = draft if waits else Draft(note=draft.note)
            self._means.cookies.keep_draft(request, response, mark.whose, kept)
        return response

    async def _page(self, mark: Mark, draft: Draft, *, held: bool) -> Response:
        now, setup = self._means.clock.now(), self._means.setup
        async with self._means.database.transaction() as db:
            opened = await self._open(db, mark.whose)
            if opened is None:
                return rendering.gone_page()
            running = held and await sessions.runs(db, mark.session_sha256)
            call = await telling.call_due(db, opened, setup) if opened.answered else None
        shown = await self._means.shown(opened)
        place = Place(self._means.seals.mark(mark), handle_of(mark.session_sha256), self._means.token(mark.whose))
        if not shown.clinic_active:
            return rendering.unread_page(shown, place, draft.note, saved=opened.answered)
        if opened.answered:
            return rendering.thanks_page(shown, place, draft.note, telling.call_by(call, now, shown.time_zone))
        ending = opened.ending(now, setup.policy)
        if ending is not None:
            return rendering.closed_page(shown, place, ending, draft.note)
        if not running:
            return rendering.again_page(shown, place, draft.note)
        form = answering.form_of(opened.check_in, setup)
        return rendering.form_page(shown, place, form, draft, errors_of(form, draft.missing))

    async def _sent(self, request: Request) -> tuple[Mark | None, dict[str, str]]:
        require_own_page(request, self._means.public_url)
        known = {item_id for form in self._means.setup.forms.known.values() for item_id in form.items}
        fields = await read_fields(request, known | {rendering.MARK})
        return self._means.seals.mark_of(fields.pop(rendering.MARK, "")), fields

    async def _open(self, db: AsyncSession, whose: Whose, *, lock: bool = False) -> Opened | None:
        return await commands.open_check_in(db, whose.clinic_id, self._means.token(whose), lock=lock)

    def _held(self, request: Request, mark: Mark) -> bool:
        """Whether this browser has the session in which the form was shown."""
        session = self._means.cookies.session(request, handle_of(mark.session_sha256))
        return session is not None and session.mark == mark
