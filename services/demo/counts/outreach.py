"""Messages and answers: what reached patients and what they were told was taken."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from services.demo.cast import Person
from services.demo.ledger import Ledger, Line, Row


async def lines(ledger: Ledger, people: Sequence[Person]) -> list[Line]:
    """Of every message that came and every answer that was acknowledged."""
    messages = {row["message_id"]: row for row in await ledger.rows("followup", _MESSAGES)}
    stored = {row["check_in_id"] for row in await ledger.rows("followup", _STORED)}
    return [*_messages(people, messages), *await _answers(ledger, people, messages, stored), *_reached(people, messages, stored)]


def _messages(people: Sequence[Person], messages: dict[str, Row]) -> list[Line]:
    """A message counts as gone from the moment at which it was about to be handed over, whatever became of its process."""
    came = [message for person in people for message in person.messages]
    gone = {message: row for message, row in messages.items() if row["gone_at"] is not None}
    asked = Counter(gone[message]["check_in_id"] if message in gone else message for message in came)
    until = {person.patient_id: person.ended_at for person in people}
    late = [row for row in gone.values() if (end := until.get(row["patient_id"])) and datetime.fromisoformat(row["gone_at"]) > end]
    never_came = [message for message, row in gone.items() if row["status"] == "sent" and message not in came]
    return [
        Line("messages in the outbox", len(came)),
        Line("messages in the outbox that nobody recorded", len(set(came) - gone.keys()), 0),
        Line("messages doubled", asked.total() - len(asked), 0),
        Line("messages recorded as sent that never came", len(never_came), 0),
        Line("messages after death or withdrawal", len(late), 0),
    ]


async def _answers(ledger: Ledger, people: Sequence[Person], messages: dict[str, Row], stored: set[str]) -> list[Line]:
    """By check-in. An answer may be stored although its acknowledgement was lost; one that nobody sent may not."""
    reviews = Counter(row["focus_id"] for row in await ledger.rows("followup", _REVIEWS))
    answered = [check_in for person in people for check_in in _check_ins(person.answered, messages)]
    sent = {check_in for person in people for check_in in _check_ins(person.answering, messages)}
    worrying = [check_in for person in people for check_in in _check_ins(person.worried, messages)]
    return [
        Line("check-ins answered", len(answered)),
        Line("answers stored of those acknowledged", sum(check_in in stored for check_in in answered), len(answered)),
        Line("answers stored that nobody sent", len(stored - sent), 0),
        Line("worrying answers", len(worrying)),
        Line("worrying answers without exactly one review, open or done", sum(reviews[check_in] != 1 for check_in in worrying), 0),
    ]


def _check_ins(ids: Sequence[str], messages: dict[str, Row]) -> list[str]:
    """What these messages asked for; one that nobody recorded stands for itself."""
    return [messages[message]["check_in_id"] if message in messages else message for message in ids]


def _reached(people: Sequence[Person], messages: dict[str, Row], stored: set[str]) -> list[Line]:
    """A day on which nobody was written to proves nothing of messages and answers. An answer counts where only its reply was lost."""
    reachable = [person for person in people if person.may_be_written_to]
    replying = [person for person in reachable if person.role.reply != "never"]
    replied = [person for person in replying if stored.intersection(_check_ins(person.answering, messages))]
    return [
        Line("patients who may be written to and were", sum(bool(person.messages) for person in reachable), len(reachable)),
        Line("patients who wanted to answer and did", len(replied), len(replying)),
    ]


_MESSAGES = """
SELECT message_id, patient_id, check_in_id, status,
       CASE WHEN handed_over_at IS NOT NULL THEN coalesce(sent_at, handed_over_at) END AS gone_at
FROM message WHERE clinic_id = :clinic
"""
_STORED = "SELECT check_in_id FROM check_in_answers WHERE clinic_id = :clinic"
_REVIEWS = """
SELECT focus_id FROM care_task
WHERE clinic_id = :clinic AND kind = 'safety-review' AND status IN ('requested', 'accepted', 'on-hold', 'completed')
"""
