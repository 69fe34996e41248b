"""The way in: a link, a birth date against misdelivery, and out again."""

import asyncio
from contextlib import suppress
from datetime import date
from math import ceil

from fastapi import Request, Response

from services.followup.pages import commands, rendering, sessions
from services.followup.pages.auditing import audited
from services.followup.pages.commands import Opened, Tried
from services.followup.pages.facts import PageFacts
from services.followup.pages.means import PageMeans, Shown, shown_of
from services.followup.pages.requests import BIRTH_DATE_FIELDS, birth_date_of, read_fields, require_own_page
from services.followup.pages.seals import Whose
from services.followup.pages.sessions import Session
from shared.errors import DomainError, Unavailable
from shared.web.addresses import client_address

_LEAVING_SECONDS = 1.0
"""Who leaves does not wait for a database that is away."""
_TOO_MANY = "There were too many wrong dates of birth from where you are. Please wait a few minutes and try again, or call the clinic."
_STATUS_OF = {Tried.RIGHT: 303, Tried.WRONG: 401, Tried.DEAD: 410}


class Entering:
    """Links and birth dates."""

    def __init__(self, means: PageMeans) -> None:
        self._means = means

    async def show_link(self, request: Request, token: str) -> Response:
        """Mail scanners fetch links, so looking at one changes nothing. ``again`` says what was wrong with the try before."""
        async with self._means.database.transaction() as db:
            opened = await commands.open_token(db, token, self._means.clock.now(), self._means.setup.policy)
        if opened is None:
            return rendering.gone_page()
        shown = await self._means.shown(opened)
        if not shown.clinic_active:
            return rendering.unread_page(shown)
        return self._birth_date_page(shown, token, opened, request.query_params.get("again"))

    async def check_birth_date(self, request: Request, token: str) -> Response:
        """A right birth date opens a session; a wrong one is counted, one that nobody has is not. Intake says which is right now."""
        require_own_page(request, self._means.public_url)
        wait = self._means.tries.wait(*_where_from(request))
        if wait:
            raise DomainError("too-many-tries", _TOO_MANY, status=429, headers={"Retry-After": str(ceil(wait))})
        fields = await read_fields(request, BIRTH_DATE_FIELDS)
        async with self._means.database.transaction() as db:
            opened = await commands.open_token(db, token, self._means.clock.now(), self._means.setup.policy)
        if opened is None:
            return rendering.gone_page()
        birth_date = birth_date_of(fields, self._means.clock.now().date())
        if birth_date is None:
            return rendering.see(f"/c/{token}?again=no-date")
        facts = await self._means.facts(opened)
        shown = shown_of(opened, facts)
        return await self._tried(request, token, birth_date, facts) if shown.clinic_active else rendering.unread_page(shown)

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

    async def _tried(self, request: Request, token: str, birth_date: date, facts: PageFacts | None) -> Response:
        policy, now = self._means.setup.policy, self._means.clock.now()
        async with self._means.database.transaction() as db:
            opened = await commands.open_token(db, token, now, policy, lock=True)
            if opened is None:
                return rendering.gone_page()
            if facts is not None:
                commands.renew(opened.link, facts, self._means.birth_dates)
            tried = await commands.try_birth_date(db, opened, birth_date, self._means.birth_dates, now, policy)
            await audited(db, request, opened, "check_birth_date", _STATUS_OF[tried])
            if tried is not Tried.RIGHT:
                self._means.tries.wrong(*_where_from(request))
                return rendering.see(f"/c/{token}?again=wrong")
            session = self._session(opened)
            await sessions.begin(db, session, opened.link.token_sha256, policy.session_life, at_most=policy.sessions_at_most)
        response = rendering.see(rendering.form_path(session.handle))
        self._means.cookies.keep_session(request, response, session)
        return response

    def _session(self, opened: Opened) -> Session:
        whose = Whose(opened.link.clinic_id, opened.link.check_in_id, opened.link.issue)
        return Session(self._means.seals.session(whose), whose)

    def _birth_date_page(self, shown: Shown, token: str, opened: Opened, again: str | None) -> Response:
        if again == "no-date":
            return rendering.birth_date_page(shown, token, [rendering.NO_DATE], status=422)
        if again == "wrong" and opened.link.wrong_tries:
            left = self._means.setup.policy.max_wrong_tries - opened.link.wrong_tries
            return rendering.birth_date_page(shown, token, [rendering.wrong_date(left)], status=401)
        return rendering.birth_date_page(shown, token)


def _where_from(request: Request) -> list[str]:
    """The address that tries are counted by, where it can be told from others'."""
    address = client_address(request)
    return [address] if address else []
