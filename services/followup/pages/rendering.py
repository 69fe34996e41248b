"""Pages as text: templates, the headers that every page carries, and the one page for every link that cannot be used."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.followup.checkins.forms import Answers, Form
from services.followup.checkins.models import PatientLink
from services.followup.pages.telephone import number_to_call, says_more

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
"""On every page. No script is ever needed, so none is allowed."""

ELSEWHERE = "https://www.weather.gov/"
"""Where the quick exit leads: a page that says nothing about the reader."""


class PageError(NamedTuple):
    """One line of the error summary; ``anchor`` is the id of the field to go to."""

    anchor: str
    text: str


def birth_date_page(link: PatientLink, errors: Sequence[PageError] = (), *, status: int = 200) -> Response:
    """Asks for the birth date; shows nothing but the clinic's neutral name."""
    return _page("birth_date.html", status, link, errors=errors)


def form_page(
    link: PatientLink,
    form: Form,
    answers: Answers | None = None,
    errors: Sequence[PageError] = (),
    *,
    help_asked: bool = False,
    status: int = 200,
) -> Response:
    """The form; ``answers`` are only ever those of the request that is being answered."""
    shown = {"form": form, "answers": answers or {}, "errors": errors, "error_of": dict(errors), "help_asked": help_asked}
    return _page("form.html", status, link, **shown)


def thanks_page(link: PatientLink, *, help_asked: bool = False) -> Response:
    """After the answers came."""
    return _page("thanks.html", 200, link, help_asked=help_asked)


def closed_page(link: PatientLink, *, help_asked: bool = False) -> Response:
    """For who is signed in to a form that takes no answers any more. Like every page it does not depend on what was answered."""
    return _page("closed.html", 200 if help_asked else 410, link, help_asked=help_asked)


def help_page() -> Response:
    """The numbers to call, for whoever asks."""
    return _page("help.html", 200, None)


def gone_page() -> Response:
    """The same page for links that are unknown, used, over or dead, so that it tells nothing."""
    return _page("gone.html", 410, None)


def refused_page(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """A request that could not be taken; ``reason`` is ours."""
    answer = _page("refused.html", status, None, reason=reason, errors=[PageError("main", reason)])
    answer.headers.update(headers or {})
    return answer


def style_sheet() -> Response:
    """The one style sheet."""
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


def _page(template: str, status: int, link: PatientLink | None, **values: object) -> Response:
    shown = {
        "language": link.language if link else "en",
        "sender_name": link.sender_name if link else "",
        "clinic_phone": link.clinic_phone if link else "",
        "crisis_line": link.crisis_line if link else "",
        "errors": (),
        "help_asked": False,
    }
    return HTMLResponse(_environment().get_template(template).render({**shown, **values}), status_code=status, headers=dict(HEADERS))


@cache
def _style() -> bytes:
    return (files(__package__) / "static" / "page.css").read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number_to_call"] = number_to_call
    environment.tests["saying_more"] = says_more
    return environment
