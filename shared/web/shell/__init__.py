"""What pages of staff have in common: one frame of a page, one style sheet, strict headers, and how a refusal reads.

A slice brings its own templates, which extend ``shell.html``. No page needs a script, so none is allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from fastapi.responses import HTMLResponse, Response
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from shared.web.answers import Refusal
from shared.web.marks import Marks

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
_SERVER_ERRORS = 500
_SAID = {
    "link-over": "This link is not valid any more. A link works once, and for an hour.",
    "sign-in-required": "You are not signed in, or your hour is over. Open a new link.",
    "role-missing": "Your roles do not allow you to see this page.",
    "practitioner-not-active": "You are not active in this clinic any more.",
    "clinic-inactive": "This clinic is not active.",
}
"""For people; what is not here reads by its kind, for the details of the API speak of headers and tokens."""
_OTHERWISE = {
    404: "There is no such page.",
    403: "You may not see this page.",
    503: "The page cannot be shown at the moment. Try again soon.",
}


@dataclass(frozen=True)
class Shell:
    """Renders pages of one slice, whose ``package`` has a folder ``templates``; also the language of its refusals."""

    package: str
    described: Mapping[str, Any] = ()  # type: ignore[assignment]  # pages are in no description

    def page(self, template: str, status: int = 200, /, **values: object) -> Response:
        """A page. What is put into it is escaped."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status_code=status, headers=dict(HEADERS))

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        """As a page that says what to do, for a person reads it."""
        failed = "The page cannot be shown: something failed on our side." if refusal.status >= _SERVER_ERRORS else "This cannot be shown."
        said = _SAID.get(refusal.code) or _OTHERWISE.get(refusal.status, failed)
        page = self.page("refused.html", refusal.status, said=said)
        page.headers.update(refusal.headers)
        return page

    @cached_property
    def _environment(self) -> Environment:
        loader = ChoiceLoader([PackageLoader(self.package), PackageLoader(__package__)])
        return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def style_sheet() -> Response:
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


@cache
def _style() -> bytes:
    return (files(__package__) / "afterglow.css").read_bytes()
