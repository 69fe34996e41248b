"""The addresses that patients open. Whose a request is, its trail and its transaction are the frame's; what goes wrong is a page too."""

from typing import Annotated

from fastapi import Depends, Request, Response

from services.followup.pages import rendering
from services.followup.pages.credentials import SCOPE, Entered, LinkInAddress, MarkInForm, SessionInAddress
from services.followup.pages.entering import Entering
from services.followup.pages.filling import Filling
from services.followup.pages.languages import AS_PAGES, AS_PAGES_OF_ANSWERS, AS_PAGES_OF_HELP
from services.followup.pages.means import PageMeans
from services.followup.pages.requests import BIRTH_DATE_FIELDS, MAX_CHARACTERS
from shared.security.access import patient_access, public_access
from shared.web import Call, Form, FormBody, Router


async def _entered(call: Call) -> Entered:
    assert isinstance(call.opens, Entered)
    return call.opens


Came = Annotated[Entered, Depends(_entered)]
"""What the patient's credential opened."""


def patient_pages(means: PageMeans) -> Router:
    """The routes. What is not found under ``/c/`` is the page of a dead link, for links get mangled on their way."""
    router, entering, filling = Router(include_in_schema=False), Entering(means), Filling(means)
    for part in (_for_everybody(entering), _of_a_form(means, filling), _of_help(means, filling), _of_a_link(means, entering)):
        router.include_router(part)
    return router


def _for_everybody(entering: Entering) -> Router:
    router = Router(answers=AS_PAGES)

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

    return router


def _of_a_form(means: PageMeans, filling: Filling) -> Router:
    """The session tells whose the form is that is shown, its mark whose it is that is sent."""
    shown = Router(credential=SessionInAddress(means), answers=AS_PAGES)
    sent = Router(credential=MarkInForm(means), body=_form_body(means), answers=AS_PAGES_OF_ANSWERS)

    @shown.get("/c/form/{handle}")
    @patient_access(f"{SCOPE}.r", phi="read")
    async def show_form(request: Request, call: Call, came: Came) -> Response:
        return await filling.show_form(request, call.db, came)

    @sent.post("/c")
    @patient_access(f"{SCOPE}.c", phi="write")
    async def take_answers(request: Request, call: Call, came: Came, fields: Form) -> Response:
        """Once; the cookie of the form's session tells that they may be stored."""
        return await filling.take_answers(request, call.db, came, fields, call.now)

    shown.include_router(sent)
    return shown


def _of_help(means: PageMeans, filling: Filling) -> Router:
    """Whatever is wrong with a call for help, its page has the numbers."""
    router = Router(credential=MarkInForm(means), body=_form_body(means), answers=AS_PAGES_OF_HELP)

    @router.post("/c/help")
    @patient_access(f"{SCOPE}.c", phi="write")
    async def take_call_for_help(request: Request, call: Call, came: Came, fields: Form) -> Response:
        return await filling.take_call_for_help(request, call.db, came, fields, call.now)

    return router


def _of_a_link(means: PageMeans, entering: Entering) -> Router:
    body = FormBody(BIRTH_DATE_FIELDS, max_characters=MAX_CHARACTERS)
    router = Router(credential=LinkInAddress(means), body=body, answers=AS_PAGES)

    @router.get("/c/{token:path}")
    @patient_access(f"{SCOPE}.r")
    async def show_link(token: str, came: Came, again: str | None = None) -> Response:
        """Shows nothing of the patient and changes nothing."""
        return entering.show_link(came.opened, token, again)

    @router.post("/c/{token:path}")
    @patient_access(f"{SCOPE}.c", phi="write")
    async def check_birth_date(request: Request, token: str, call: Call, came: Came, fields: Form) -> Response:
        """Five wrong ones kill the link."""
        return await entering.check_birth_date(request, call.db, came.opened, token, fields)

    return router


def _form_body(means: PageMeans) -> FormBody:
    known = {item_id for form in means.setup.forms.known.values() for item_id in form.items}
    return FormBody(known | {rendering.MARK}, max_characters=MAX_CHARACTERS)
