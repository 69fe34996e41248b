"""Answers that were not saved, a call for help, and what to say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.followup.checkins.forms import Answers


class Note(StrEnum):
    """What became of what the patient sent last, for the page that is shown next."""

    INCOMPLETE = "incomplete"
    UNSAVED = "unsaved"
    SENT_BEFORE = "sent-before"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class HelpCall:
    """A call for help: when the button was pressed, and on a page of which session."""

    at: datetime
    handle: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What waits in the patient's browser. ``missing`` are the items to be asked again, where the form was not complete."""

    answers: Answers = field(default_factory=dict)
    note: Note | None = None
    missing: Sequence[str] = ()
    help_call: HelpCall | None = None

    def after_help(self, answers: Answers, call: HelpCall) -> "Draft":
        """What waits goes on waiting: a call for help carries what stood on its page, which may be none of the answers."""
        note = self.note if self.note in (Note.UNSAVED, Note.SENT_BEFORE) else Note.HELP
        return Draft({**self.answers, **answers}, note, help_call=call)
