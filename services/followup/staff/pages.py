"""The way in to pages of staff."""

from fastapi import Response
from fastapi.responses import RedirectResponse

from services.followup.roles import WORKERS
from services.followup.staff import sessions
from services.followup.staff.credentials import OneTimeLink, StaffSession, link_over
from shared.security.staff_links import StaffLink
from shared.web import Call, FormBody, Router, public_access, staff_access
from shared.web.shell import HEADERS, Shell, style_sheet

ROOM = "/queue"
"""Where a session leads to."""


def entrance(link: OneTimeLink, session: StaffSession) -> Router:
    """A link is shown as one button, for programs fetch the addresses that they see; pressing it opens the session."""
    shell = Shell(__package__)
    router = Router(credential=link, body=FormBody(()), answers=shell, include_in_schema=False)

    @router.get(f"{ROOM}/afterglow.css")
    @public_access("the style sheet of staff pages")
    async def show_staff_style_sheet() -> Response:
        return style_sheet()

    @router.get(f"{ROOM}/enter/{{link}}")
    @staff_access("user/Session.r", person=WORKERS)
    async def show_entrance(link: str) -> Response:
        return shell.page("enter.html", link=link)

    @router.post(f"{ROOM}/enter/{{link}}")
    @staff_access("user/Session.c", person=WORKERS)
    async def enter(link: str, call: Call) -> Response:
        assert isinstance(call.opens, StaffLink)
        token = await sessions.begin(call.db, link, call.opens)
        if token is None:
            raise link_over()
        response = RedirectResponse(ROOM, status_code=303, headers=dict(HEADERS))
        seconds = int(sessions.LIFE.total_seconds())
        response.set_cookie(session.cookie, token, max_age=seconds, path="/", secure=session.secure, httponly=True, samesite="lax")
        return response

    return router
