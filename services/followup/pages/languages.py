"""How a refusal reads for a patient: as a page that says what to do, with the numbers to call."""

from collections.abc import Mapping
from typing import Any

from fastapi import Response

from services.followup.pages import rendering
from services.followup.pages.credentials import over
from shared.web import Refusal
from shared.web.marks import Marks

_SERVER_ERRORS = 500
_AWAY = "Something is not working here at the moment. Please try again in a few minutes."


class Pages:
    """Refusals as pages; whatever opens nothing gets the one page of a dead link."""

    described: Mapping[str, Any] = {"text/html": {}}  # Any: JSON values

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        """The page of a refusal. The details are ours, and nothing that was sent is among them."""
        if refusal.code == over().code:
            return rendering.gone_page()
        reason = refusal.detail if refusal.status < _SERVER_ERRORS else _AWAY
        return rendering.refused_page(refusal.status, f"{reason} Nothing was saved.", refusal.headers)


class PagesOfHelp:
    """The same for a call for help: the numbers, and that nobody could be told."""

    described: Mapping[str, Any] = {"text/html": {}}  # Any: JSON values

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        """A form that does not say whose it is cannot be told to anybody, and is no mistake of the reader's."""
        if refusal.code == over().code:
            return rendering.help_page(untold=True)
        return rendering.help_page(untold=True, status=refusal.status, headers=refusal.headers)


AS_PAGES, AS_PAGES_OF_HELP = Pages(), PagesOfHelp()
