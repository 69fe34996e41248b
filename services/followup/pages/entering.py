"""The way in: a link, a birth date against misdelivery, and out again."""

import asyncio
from contextlib import suppress
from datetime import date

from fastapi import Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.checkins.answers import form_of
from services.followup.pages import commands, rendering, sessions
from services.followup.pages.commands import Opened, Tried
from services.followup.pages.credentials import found, where_from
from services.followup.pages.facts import PageFacts
from services.followup.pages.means import PageMeans, Shown, shown_of
from services.followup.pages.requests import birth_date_of, is_no_month
from services.followup.pages.seals import Whose
from services.followup.pages.sessions import Session
from shared.db import enter_clinic, let_go
from shared.errors import Unavailable
from shared.web import AfterCommit, Form

_LEAVING_SECONDS = 1.0
"""Who leaves does not wait for a database that is away."""
_STATUS_OF = {Tried.RIGHT: 303, Tried.WRONG: 401, Tried.DEAD: 410}
"""As the trail has them."""
_SLIPS = {"no-date": rendering.NO_DATE, "no-month": rendering.NO_MONTH}


class Entering:
    """Links and birth dates."""

    def __init__(self, means: PageMeans) -> None:
        self._means = means

    def show_link(self, opened: Opened, token: str, again: str | None) -> Response:
        """Mail scanners fetch links, so looking at one changes nothing. ``again`` says what was wrong with the try before."""

        async def page() -> Response:
            shown = await self._means.shown(opened)
            return self._birth_date_page(shown, token, opened, again) if shown.clinic_active else rendering.unread_page(shown)

        return AfterCommit(page)

    async def check_birth_date(self, request: Request, db: AsyncSession, opened: Opened, token: str, fields: Form) -> Response:
        """A right birth date opens a session; a wrong one is counted, one that nobody has is not. Intake says which is right now."""
        birth_date = birth_date_of(fields, self._means.clock.now().date())
        if birth_date is None:
            slip = "no-month" if is_no_month(fields) else "no-date"
            return rendering.recorded_as(422, rendering.see(f"/c/{token}?again={slip}"))
        facts = await self._asked_meanwhile(db, opened)
        shown = shown_of(opened, facts)
        return await self._tried(request, db, token, birth_date, facts) if shown.clinic_active else rendering.unread_page(shown)

    async def leave(self, request: Request, handle: str | None) -> Response:
        """The quick exit, to a page that says nothing: ends the session of the page, or all that this browser has."""
        cookies = self._means.cookies
        left = [session for session in cookies.sessions(request) if handle in (None, session.handle)]
        response = rendering.see(rendering.ELSEWHERE)
        cookies.forget(response, left)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS), self._means.database.transaction() as db:
                await sessions.end(db, [session.token_sha256 for session in left])
        return response

    async def _asked_meanwhile(self, db: AsyncSession, opened: Opened) -> PageFacts | None:
        """What intake says now. It may be slow, so the transaction, which has only read, gives its connection back for that long."""
        db.expunge_all()  # what was read stays readable
        await let_go(db)
        facts = await self._means.facts(opened)
        await enter_clinic(db, opened.link.clinic_id)
        return facts

    async def _tried(self, request: Request, db: AsyncSession, token: str, birth_date: date, facts: PageFacts | None) -> Response:
        policy, now = self._means.setup.policy, self._means.clock.now()
        opened = found(await commands.open_token(db, token, now, policy, lock=True))
        if facts is not None:
            commands.renew(opened.link, facts, self._means.birth_dates)
        tried = await commands.try_birth_date(db, opened, birth_date, self._means.birth_dates, now, policy)
        if tried is not Tried.RIGHT:
            self._means.tries.wrong(*where_from(request))
            dead = tried is Tried.DEAD
            response = (
                rendering.shut_page(shown_of(opened, facts), policy.max_wrong_tries) if dead else rendering.see(f"/c/{token}?again=wrong")
            )
        else:
            session = self._session(opened)
            await sessions.begin(db, session, opened.link.token_sha256, policy.session_life, at_most=policy.sessions_at_most)
            response = rendering.see(rendering.form_path(session.handle))
            self._means.cookies.keep_session(request, response, session)
        return rendering.recorded_as(_STATUS_OF[tried], response)

    def _session(self, opened: Opened) -> Session:
        whose = Whose(opened.link.clinic_id, opened.link.check_in_id, opened.link.issue)
        return Session(self._means.seals.session(whose), whose)

    def _birth_date_page(self, shown: Shown, token: str, opened: Opened, again: str | None) -> Response:
        minutes = form_of(opened.check_in, self._means.setup).minutes
        if again in _SLIPS:
            return rendering.birth_date_page(shown, token, minutes, [_SLIPS[again]], status=422)
        if again == "wrong" and opened.link.wrong_tries:
            left = self._means.setup.policy.max_wrong_tries - opened.link.wrong_tries
            return rendering.birth_date_page(shown, token, minutes, [rendering.wrong_date(left)], status=401)
        return rendering.birth_date_page(shown, token, minutes)
