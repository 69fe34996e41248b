"""The patients of the demo: a message that comes again is counted again, and nothing that goes wrong with a reply is lost."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from services.demo.cast import Person, Reply, Role
from services.demo.clinic import Clinic
from services.demo.clock import DayClock
from services.demo.day import Day
from services.demo.patients import Patients
from services.demo.run import beside
from services.demo.view import Board, Visit
from shared.clock import AcceleratedClock, Phase
from tests.support.waiting import eventually

NOW = datetime(2027, 3, 8, 14, 0, tzinfo=UTC)


def one_patient(reply: Reply, *, birth_date: str = "1984-06-19") -> tuple[Day, Person]:
    person = Person(Role("Ada Well", "UTC", 0, reply=reply), birth_date, "ada@patients.example", patient_number="P-000001")
    day = Day(Clinic(uuid4(), None), DayClock(AcceleratedClock(Phase(NOW, NOW, 1))), NOW, Board([Visit("P-000001", "UTC")]))  # type: ignore[arg-type]  # no system is asked
    day.people = [person]
    return day, person


def deliver(outbox: Path) -> None:
    """The same message, as a file of its own."""
    draft = outbox / "draft"
    draft.write_text(json.dumps({"to": "ada@patients.example", "link": "http://127.0.0.1:9/c/link"}))
    draft.replace(outbox / "message-1.json")


async def test_a_message_that_comes_twice_is_counted_twice(tmp_path: Path) -> None:
    day, person = one_patient("never")

    async def messages() -> int:
        return len(person.messages)

    async with beside(Patients(day, tmp_path, None).read_mail()):
        deliver(tmp_path)
        await eventually(messages, lambda count: count == 1)
        deliver(tmp_path)
        await eventually(messages, lambda count: count == 2)


async def test_a_reply_that_failed_long_ago_is_told_in_the_end(tmp_path: Path) -> None:
    day, person = one_patient("well", birth_date="no date")
    patients = Patients(day, tmp_path, None)

    async def ended() -> bool:
        return bool(patients.replies) and all(reply.done() for reply in patients.replies)

    async with beside(patients.read_mail()):
        deliver(tmp_path)
        await eventually(ended)
        with pytest.raises(ValueError, match="not enough values"):
            await patients.settle()
    assert person.answered == []


async def fails(begun: asyncio.Event) -> None:
    begun.set()
    raise RuntimeError("watcher")


async def watched(*, body_fails: bool) -> None:
    begun = asyncio.Event()
    async with beside(fails(begun)):
        await begun.wait()
        if body_fails:
            raise KeyError


async def test_what_ended_the_work_beside_is_told() -> None:
    with pytest.raises(RuntimeError, match="watcher"):
        await watched(body_fails=False)


async def test_an_error_is_not_hidden_by_the_one_that_came_beside_it() -> None:
    with pytest.raises(KeyError):
        await watched(body_fails=True)
