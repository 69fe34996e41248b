"""Answers that were not saved, and what to say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.followup.checkins.forms import Answers


class Note(StrEnum):
    """What became of what the patient sent last, for the page that is shown next."""

    INCOMPLETE = "incomplete"
    UNSAVED = "unsaved"
    SENT_BEFORE = "sent-before"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Draft:
    """What waits in the patient's browser. ``missing`` are the items to be asked again, where the form was not complete."""

    answers: Answers = field(default_factory=dict)
    note: Note | None = None
    missing: Sequence[str] = ()
