"""How a refusal reads for a patient: as a page that says what to do, with the numbers to call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Response

from services.followup.pages import rendering
from services.followup.pages.credentials import over
from services.followup.pages.rendering import Press
from shared.web import Refusal
from shared.web.marks import Marks

_SERVER_ERRORS = 500
_AWAY = "Something is not working here at the moment. Please try again in a few minutes."
_UNSAVED = "Nothing was saved."


@dataclass(frozen=True)
class Pages:
    """Refusals as pages; whatever opens nothing gets the one page of a dead link.

    ``of_answers``: they were to be saved by this request, and were not. Of any other request nothing can be said of answers: it may be
    the one that the browser makes after they were saved.
    """

    of_answers: bool = False

    @property
    def described(self) -> Mapping[str, Any]:  # Any: JSON values
        """Pages, of which API descriptions say no more."""
        return {"text/html": {}}

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        """The page of a refusal. The details are ours, and nothing that was sent is among them."""
        if refusal.code == over().code:
            return rendering.gone_page(sent=self.of_answers)
        reason = refusal.detail if refusal.status < _SERVER_ERRORS else _AWAY
        return rendering.refused_page(refusal.status, f"{reason} {_UNSAVED}" if self.of_answers else reason, refusal.headers)


class PagesOfHelp:
    """The same for a call for help: the numbers, and that nobody could be told."""

    described: Mapping[str, Any] = {"text/html": {}}  # Any: JSON values

    def refused(self, marks: Marks, refusal: Refusal) -> Response:
        """A form that does not say whose it is cannot be told to anybody, and is no mistake of the reader's."""
        if refusal.code == over().code:
            return rendering.help_page(Press.UNTOLD)
        return rendering.help_page(Press.UNTOLD, status=refusal.status, headers=refusal.headers)


AS_PAGES, AS_PAGES_OF_ANSWERS, AS_PAGES_OF_HELP = Pages(), Pages(of_answers=True), PagesOfHelp()
