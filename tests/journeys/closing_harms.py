"""Harms behind the closing table's back, and stories that the cast tells instead of what is stored; each with the line that must tell."""

from services.demo.cast import Person
from tests.conftest import NEW_YORK_MORNING

HARMS = [
    ("sessions", "UPDATE infusion SET state = 'recovery' WHERE state = 'completed'", "infusions that do not stand as acknowledged"),
    ("sessions", "UPDATE infusion SET state = 'entered-in-error'", "infusions that do not stand as acknowledged"),
    ("sessions", "DELETE FROM infusion WHERE state = 'no-show'", "infusions booked"),
    ("intake", "UPDATE patient SET status = 'active'", "patients who do not stand as acknowledged"),
    ("followup", "DELETE FROM care_task WHERE kind = 'integration-session'", "sets missing or incomplete"),
    ("followup", "DELETE FROM check_in WHERE code = 'C72'", "sets missing or incomplete"),
    ("followup", "DELETE FROM plan", "follow-up sets made for them"),
    ("followup", "UPDATE plan SET infusion_id = gen_random_uuid()", "sets for infusions without drug"),
    ("followup", "UPDATE check_in SET code = 'C24', ordinal = 7 WHERE code = 'C72'", "sets doubled"),
    ("followup", "UPDATE plan SET pump_ended_at = pump_ended_at - interval '10 minutes'", "plans with another pump end than charted"),
    (
        "followup",
        "DELETE FROM anchor_pin WHERE anchor_id IN (SELECT course_id FROM course)",
        "courses begun without exactly one weekly series",
    ),
    ("followup", "DELETE FROM platform.timer WHERE kind = 'plan-wake'", "courses begun without exactly one weekly series"),
    (
        "followup",
        "INSERT INTO anchor_pin SELECT clinic_id, course_id, patient_id, 'default', 2, now() FROM course ON CONFLICT DO NOTHING",
        "weekly series for courses that did not begin",
    ),
    ("followup", "DELETE FROM care_task WHERE kind = 'rebook'", "of them with exactly one task to rebook"),
    (
        "followup",
        """
        UPDATE care_task SET ordinal = 77, focus_id = (SELECT max(focus_id::text)::uuid FROM care_task WHERE kind = 'rebook')
        WHERE focus_id = (SELECT min(focus_id::text)::uuid FROM care_task WHERE kind = 'rebook')
        """,
        "of them with exactly one task to rebook",
    ),
    (
        "followup",
        "UPDATE care_task SET focus_id = gen_random_uuid() WHERE kind = 'rebook'",
        "tasks to rebook for other visits, or called off",
    ),
    ("followup", "DELETE FROM check_in_answers", "answers stored of those acknowledged"),
    ("followup", "UPDATE check_in_answers SET check_in_id = gen_random_uuid()", "answers stored that nobody sent"),
    ("followup", "DELETE FROM care_task WHERE kind = 'safety-review'", "worrying answers without exactly one review, open or done"),
    (
        "followup",
        "UPDATE care_task SET status = 'cancelled', status_reason = 'x', closed_at = created_at WHERE kind = 'safety-review'",
        "worrying answers without exactly one review, open or done",
    ),
    ("followup", "DELETE FROM message", "messages in the outbox that nobody recorded"),
    ("followup", "UPDATE message SET message_id = gen_random_uuid()", "messages recorded as sent that never came"),
    (
        "followup",
        "UPDATE check_in SET status = 'planned', ended_reason = NULL WHERE status = 'cancelled'",
        "check-ins left open after death, withdrawal or error",
    ),
    (
        "followup",
        "UPDATE care_task SET status = 'requested', status_reason = NULL, closed_at = NULL",
        "tasks left open after death, withdrawal or error",
    ),
    ("followup", "DELETE FROM care_task WHERE kind = 'cancellation-review'", "patients whose cancelled follow-up nobody looks at"),
    (
        "followup",
        "UPDATE care_task SET status = 'cancelled', status_reason = 'x', closed_at = created_at WHERE kind = 'integration-session'",
        "follow-up called off without a cause",
    ),
]
"""A service, what is done to its tables behind its back, and the line of the table that must tell."""


def message_came_twice(people: list[Person]) -> None:
    people[0].messages *= 2


def no_message_came(people: list[Person]) -> None:
    people[0].messages.clear()


def no_answer_was_sent(people: list[Person]) -> None:
    people[0].answering.clear()
    people[0].answered.clear()


def was_dead_before_the_message(people: list[Person]) -> None:
    people[0].ended_at = NEW_YORK_MORNING


STORIES = [
    (message_came_twice, "messages doubled"),
    (no_message_came, "patients who may be written to and were"),
    (no_answer_was_sent, "patients who wanted to answer and did"),
    (was_dead_before_the_message, "messages after death or withdrawal"),
]
"""What the cast has seen instead, and the line of the table that must tell."""
