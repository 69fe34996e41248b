"""Pages as text: templates, the headers that every page carries, and the one page for every link that cannot be used."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.followup.checkins.forms import Answers, Form
from services.followup.checkins.work import Lapse
from services.followup.pages.commands import Ending
from services.followup.pages.drafts import Note
from services.followup.pages.means import Shown
from services.followup.pages.telephone import in_parts, says_more
from services.followup.pages.telling import NOTHING, CallBy, Told
from shared.web import AfterCommit

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
"""On every page. No script is ever needed, so none is allowed."""

ELSEWHERE = "https://www.weather.gov/"
"""Where the quick exit leads: a page that says nothing about the reader."""
MARK = "mark"
"""The hidden field by which a form says whose it is."""


class PageError(NamedTuple):
    """One line of the error summary; ``anchor`` is the id of the field to go to."""

    anchor: str
    text: str


class Place(NamedTuple):
    """Where in a session a page stands: the mark for its forms, the session's handle, and the token of its link."""

    mark: str
    handle: str
    token: str


_ARRIVED = "What you sent has arrived. This page cannot be shown at the moment. Please call the clinic to ask whether it was saved."
NO_DATE = PageError("birth_month", "Enter your date of birth as month, day and year with four digits, for example 3 27 1985")


NO_MONTH = PageError("birth_month", "The month is a number from 1 to 12: enter the month first, then the day, for example 3 27 1985")


def wrong_date(tries_left: int) -> PageError:
    """A date that is not the right one."""
    left = "1 try left. If that date is wrong too" if tries_left == 1 else f"{tries_left} tries left. After that"
    return PageError("birth_month", f"That is not the date of birth we have. You have {left}, this link closes.")


def form_path(handle: str) -> str:
    """The address of a session's form."""
    return f"/c/form/{handle}"


def see(address: str) -> Response:
    """Leads to another page, which the browser asks for by itself."""
    return RedirectResponse(address, status_code=303, headers=dict(HEADERS))


def birth_date_page(shown: Shown, token: str, minutes: int, errors: Sequence[PageError] = (), *, status: int = 200) -> Response:
    """Asks for the birth date; shows nothing but the clinic's neutral name, and how many ``minutes`` its form takes."""
    return _page("birth_date.html", status, shown, token=token, minutes=minutes, errors=errors)


def shut_page(shown: Shown, tries: int) -> Response:
    """The answer to the last wrong birth date, and to nothing else: it shows no more than the page on which that was typed."""
    return _page("shut.html", 410, shown, tries=tries)


def again_page(shown: Shown, place: Place, told: Told, lapse: Lapse) -> Response:
    """For whose session is over, or is not in this browser: what was not saved, and the way on."""
    return _page("again.html", 401, shown, place, told, lapse=lapse)


def form_page(shown: Shown, place: Place, form: Form, told: Told, answers: Answers, errors: Sequence[PageError]) -> Response:
    """The form; answers in it are only ever those that wait in this browser."""
    status = 422 if errors else 200
    asked = {"form": form, "answers": answers, "error_of": dict(errors)}
    return _page("form.html", status, shown, place, told, more=None, errors=errors, **asked)


def thanks_page(shown: Shown, place: Place, told: Told, call_by: CallBy | None) -> Response:
    """After the answers came. Beside a call that was asked for it does not depend on what was answered."""
    return _page("thanks.html", 409 if told.note is Note.SENT_BEFORE else 200, shown, place, told, call_by=call_by)


def closed_page(shown: Shown, place: Place, ending: Ending, told: Told) -> Response:
    """For who is signed in to a form that takes no answers any more. It does not depend on what was answered."""
    return _page("closed.html", 200 if _help_asked(told) else 410, shown, place, told, ending=ending)


def unread_page(shown: Shown, place: Place | None = None, told: Told = NOTHING, *, saved: bool = False) -> Response:
    """The clinic is closed: nobody there reads anything, and nothing is promised. Without a mark the page has no button that tells it."""
    status = 200 if _help_asked(told) else 410
    return _page("unread.html", status, shown._replace(clinic_phone=""), place, told, saved=saved, mark="")


class Press(StrEnum):
    """What became of the button for help."""

    NONE = "none"
    """Nobody pressed it: somebody asks for the numbers."""
    UNTOLD = "untold"
    ARRIVED = "arrived"


def help_page(press: Press = Press.NONE, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The numbers to call, for whoever asks, and whether anybody was told."""
    return _page("help.html", status, None, more=headers, press=press, crisis_heading=False)


def gone_page(*, sent: bool = False) -> Response:
    """The same page for links that are unknown, used, over or dead, so that it tells nothing. Whoever opens one may have sent answers
    before, or not: only of a form that is ``sent`` and says not whose it is, it is known that nothing of it was saved.
    """
    return _page("gone.html", 410, None, sent=sent)


def refused_page(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """A request that could not be taken; ``reason`` is ours."""
    return _page("refused.html", status, None, more=headers, reason=reason, errors=[PageError("main", reason)])


def arrived_page(*, helped: bool) -> Response:
    """What was sent has arrived, and what has become of it cannot be told at this moment."""
    return help_page(Press.ARRIVED) if helped else refused_page(503, _ARRIVED, {"Retry-After": "1"})


def recorded_as(status: int, response: Response) -> Response:
    """An answer of which the trail has another status than the browser: most answers lead to a page."""

    async def made() -> Response:
        return response

    return AfterCommit(made, status_code=status)


def style_sheet() -> Response:
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


def _page(
    template: str,
    status: int,
    shown: Shown | None,
    place: Place | None = None,
    told: Told = NOTHING,
    *,
    more: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    said = {
        "language": shown.language if shown else "en",
        "sender_name": shown.sender_name if shown else "",
        "clinic_phone": shown.clinic_phone if shown else "",
        "crisis_line": shown.crisis_line if shown else "",
        "mark": place.mark if place else "",
        "handle": place.handle if place else "",
        "token": place.token if place else "",
        "note": told.note,
        "help": told.help,
        "help_asked": _help_asked(told),
        "crisis_heading": not _help_asked(told),
        "errors": (),
    }
    text = _environment().get_template(template).render({**said, **values})
    return HTMLResponse(text, status_code=status, headers={**HEADERS, **(more or {})})


def _help_asked(told: Told) -> bool:
    """Whether the page is the answer to a call for help."""
    return told.help is not None and told.help.here


@cache
def _style() -> bytes:
    return (files(__package__) / "static" / "page.css").read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["in_parts"] = in_parts
    environment.tests["saying_more"] = says_more
    return environment
