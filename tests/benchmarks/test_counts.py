"""What one finished infusion costs in statements. Each one is a round trip: a new one is a decision, and is written down here."""

import re
from datetime import timedelta

from tests.benchmarks.recording import Transaction, noted
from tests.support.house import Clinic, House
from tests.support.waiting import eventually

COMPLETION = [
    "SELECT platform.client",  # enters the clinic, knows caller and practitioner, claims the idempotency key
    "SELECT infusion",  # the infusion with its patient and course, locked
    "INSERT infusion",  # the step, and what the record was at this version, for ever
    "INSERT public.idempotency_key",  # the answer under its key, and the audit row
    "INSERT platform.stream",  # the event, its place in the patient's stream, and that it is not yet relayed
]
FOLLOW_UP = [
    "INSERT platform.inbox",  # which of these events are new
    "INSERT platform.key_clinic",  # whose the keys are
    "SELECT platform.parked",  # whether an earlier event of a key waits for a person
    "SELECT platform.document_stamp",  # enters the clinic, and learns whether its clinical documents have changed
    "INSERT patient",  # locks the patients
    "UPDATE patient",  # what is known of the infusions, and of patients of whom intake has told nothing
    "INSERT plan",
    "SELECT infusion",  # the facts
    "SELECT patient_link",  # what exists over them, and through which links an answer may still come
    "INSERT anchor_pin",  # by which protocol they are followed
    "INSERT check_in",
    "INSERT care_task",  # with history
    "INSERT platform.timer",  # when they open and are due, and the next week
]
"""Over Kafka one more: the partition's offset. As many for fifty infusions as for one (tests/followup/plans/test_making_plans.py)."""


async def test_a_finished_infusion_costs_the_statements_written_down_here(house: House, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.infuse()
    await house.settled()
    discharged_at = house.clock.advance(timedelta(minutes=65))
    sessions, followup = (house.services[name].database.engine for name in ("sessions", "followup"))
    with noted(sessions) as completing, noted(followup) as following:
        await patient.step("complete", {"discharged_at": discharged_at.isoformat()}, by="prescriber")

        async def followed() -> list[Transaction]:
            return [transaction for transaction in following if "INSERT plan" in shape(transaction)]

        (follow_up,) = await eventually(followed)
    (completion,) = [transaction for transaction in completing if "INSERT infusion" in shape(transaction)]
    assert shape(completion) == COMPLETION
    assert shape(follow_up) == FOLLOW_UP


def shape(transaction: Transaction) -> list[str]:
    """What each statement does first: the table that it writes, or else the one that it reads."""
    return [_shape(statement.sql) for statement in transaction.statements]


def _shape(sql: str) -> str:
    changes = re.sub(r"\bDO UPDATE SET\b|\bFOR (NO KEY )?UPDATE\b", "", sql)
    written = re.search(r"\b(INSERT|UPDATE|DELETE)\s+(?:INTO\s+|FROM\s+)?([\w.]+)", changes)
    if written:
        return f"{written[1]} {written[2]}"
    read = re.search(r"\b(?:FROM|JOIN)\s+(?!entered\b)([\w.]+)", sql)
    return f"SELECT {read[1] if read else 'set_config'}"
