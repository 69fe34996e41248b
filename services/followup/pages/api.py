"""The addresses that patients open. What goes wrong is a page too."""

from collections.abc import Awaitable

from fastapi import Request, Response

from services.followup.pages import rendering
from services.followup.pages.entering import Entering
from services.followup.pages.filling import Filling
from services.followup.pages.means import PageMeans
from shared.errors import DomainError
from shared.security.access import public_access
from shared.web import Router

_SERVER_ERRORS = 500
_AWAY = "Something is not working here at the moment. Please try again in a few minutes."


def patient_pages(means: PageMeans) -> Router:
    """The routes. What is not found under ``/c/`` is the page of a dead link, for links get mangled on their way."""
    router = Router(include_in_schema=False)
    entering, filling = Entering(means), Filling(means)
    _for_everybody(router, entering)
    _of_a_form(router, filling)

    @router.get("/c/{token:path}")
    @public_access("a patient's link: shows nothing of the patient and changes nothing")
    async def show_link(request: Request, token: str) -> Response:
        return await _as_page(entering.show_link(request, token))

    @router.post("/c/{token:path}")
    @public_access("a patient's link: the birth date is compared, five wrong ones kill the link")
    async def check_birth_date(request: Request, token: str) -> Response:
        return await _as_page(entering.check_birth_date(request, token))

    return router


def _for_everybody(router: Router, entering: Entering) -> None:
    @router.get("/c/static/page.css")
    @public_access("the style sheet of the patients' pages")
    async def show_style_sheet() -> Response:
        return rendering.style_sheet()

    @router.get("/c/help")
    @public_access("numbers to call, for everybody")
    async def show_help() -> Response:
        return rendering.help_page()

    @router.get("/c/leave")
    @public_access("the quick exit from a page of no session: ends all that this browser has")
    async def leave(request: Request) -> Response:
        return await entering.leave(request, None)

    @router.get("/c/leave/{handle}")
    @public_access("the quick exit from a page of a session: ends it")
    async def leave_session(request: Request, handle: str) -> Response:
        return await entering.leave(request, handle)

    @router.get("/c")
    @public_access("no page of anybody")
    async def show_nothing() -> Response:
        return rendering.gone_page()


def _of_a_form(router: Router, filling: Filling) -> None:
    @router.get("/c/form/{handle}")
    @public_access("the form; the cookie of the session that the link's birth date opened tells whose")
    async def show_form(request: Request, handle: str) -> Response:
        return await _as_page(filling.show_form(request, handle))

    @router.post("/c")
    @public_access("answers; the mark of the form tells whose, the cookie of its session that they may be stored, once")
    async def take_answers(request: Request) -> Response:
        return await _as_page(filling.take_answers(request))

    @router.post("/c/help")
    @public_access("a call for help; the mark of the form tells whose")
    async def take_call_for_help(request: Request) -> Response:
        return await _as_page(filling.take_call_for_help(request))


async def _as_page(answer: Awaitable[Response]) -> Response:
    """A refusal is shown as a page, for a person reads it."""
    try:
        return await answer
    except DomainError as refused:
        reason = refused.detail if refused.status < _SERVER_ERRORS else _AWAY
        return rendering.refused_page(refused.status, f"{reason} Nothing was saved.", refused.headers)
