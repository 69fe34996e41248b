"""The whole of docs/operations.md typed from top to bottom, while what it is for breaks."""

import asyncio
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID, uuid4

import pytest

from services.demo.client import ClinicSystem
from tests.deploy.runbook import BEFORE, PAGE, Command, Installation, commands, described, waited
from tests.deploy.stack import SERVICES, docker, free_port, until
from tests.support.commands import Ran

TEXT = PAGE.read_text()
LOOKS = re.compile(r"alerts|afterglow pipeline (status|parked|show|audit)")
"""Commands that change nothing: a person types them again until they show what is waited for."""
PARTITION = 3
PATIENCE_SECONDS = 150.0


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    run = os.urandom(4).hex()
    place = Installation.made(tmp_path_factory.mktemp("walk") / "afterglow", f"afterglow-walk-{run}", free_port(), f"0.0.3-test-{run}")
    try:
        yield place
    finally:
        place.compose("down", "--remove-orphans", "--volumes", "--timeout", "30", check=False)
        images = [f"afterglow/{name}:{place.version}" for name in (*SERVICES, "operator")]
        subprocess.run(["docker", "image", "rm", "--force", *images], capture_output=True, check=False)


class Walk:
    """What breaks before a part of the page is read, and what has to be seen after a command."""

    def __init__(self, place: Installation, runner: asyncio.Runner) -> None:
        self.place = place
        self.runner = runner
        self.clinic: ClinicSystem | None = None
        self.patients: dict[str, UUID] = {}
        self.breaks: dict[str, Callable[[], None]] = {
            "Somebody is told": self.poison_in,
            "RecordsLost": self.records_lost,
            "A wiped Kafka volume": self.kafka_wiped,
        }
        self.before: dict[str, Callable[[], None]] = {
            "afterglow pipeline show followup/17": self.look_up_the_number,
            "afterglow pipeline redrive --reason poison --yes": self.mend,
            "docker compose stop gateway intake sessions followup postgres": self.after_the_backup,
        }
        self.seen: dict[str, list[Callable[[Ran], bool]]] = {
            "alerts": [both_are_told, lacks("RecordsParked")],
            "afterglow pipeline parked": [lambda ran: "undecodable" in ran.out and "poison" in ran.out, says("Nothing is parked.")],
            "afterglow pipeline redrive --reason poison": [says("followup: would try 1 records of 1 keys")],
            "afterglow pipeline redrive --reason poison --yes": [says("followup: 1 redriven, 0 failed again")],
            "afterglow pipeline status --service followup": [says("retention-loss")],
        }
        self.after: dict[str, Callable[[], None]] = {
            "RecordsParked": lambda: self.arrives("of the poison"),
            "RecordsLost": self.nothing_is_held,
            "Backup and restore": self.restored,
            "A wiped Kafka volume": lambda: self.arrives("of the lost log"),
            "Renewing secrets": self.works_with_new_secrets,
        }

    def leave(self) -> None:
        if self.clinic is not None:
            self.runner.run(self.clinic.close())

    def type(self, command: Command) -> None:
        self.before.get(command.line, nothing)()
        wanted = self.seen.get(command.line, [])
        holds = wanted.pop(0) if wanted else good
        if LOOKS.match(command.line):
            ask = partial(self.place.typed, command.line)
            waited(ask, lambda ran: good(ran) and holds(ran), seconds=PATIENCE_SECONDS, what=command.line)
            return
        ran = self.place.typed(command.line)
        assert good(ran), f"{command.section}: {command.line} -> {described(ran)}"
        assert holds(ran), f"{command.section}: {command.line} -> {described(ran)}"

    def poison_in(self) -> None:
        """A record that is no event, and a handler that fails on every new patient."""
        _, self.clinic = self.runner.run(self.place.registered_clinic("system/Patient.c"))
        until(lambda: self.place.sql("followup", "SELECT count(*) FROM clinic") == "1", seconds=60, what="the clinic known to followup")
        self.place.sql(
            "followup",
            "CREATE FUNCTION defect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'defect'; END $$;"
            "CREATE TRIGGER defect BEFORE INSERT ON patient EXECUTE FUNCTION defect()",
        )
        self.place.told_wrongly(1, partition=PARTITION)
        self.admit("of the poison")

    def look_up_the_number(self) -> None:
        (row,) = self.place.json("afterglow pipeline parked --reason undecodable")
        self.place.examples["followup/17"] = f"{row['service']}/{row['parked_id']}"

    def mend(self) -> None:
        assert not self.has("of the poison")
        self.place.sql("followup", "DROP TRIGGER defect ON patient; DROP FUNCTION defect()")

    def records_lost(self) -> None:
        self.place.compose("stop", "followup")
        self.place.told_wrongly(3, partition=PARTITION)
        self.place.delete_records("sessions.events", PARTITION)
        self.place.compose("start", "followup")

    def nothing_is_held(self) -> None:
        waited(
            lambda: self.place.typed("alerts"), lambda ran: good(ran) and "RecordsLost" not in ran.out, seconds=90, what="no RecordsLost"
        )

    def after_the_backup(self) -> None:
        self.admit("after the backup")
        self.arrives("after the backup")

    def restored(self) -> None:
        """Intake has lost what was entered since; followup has read it again in what Kafka kept."""
        assert not self.has("after the backup", at="intake")
        self.arrives("after the backup")
        self.arrives("of the poison")

    def kafka_wiped(self) -> None:
        """While followup had not yet read everything."""
        self.place.compose("stop", "followup")
        self.admit("of the lost log")
        pending = "SELECT count(*) FROM platform.outbox_pending"
        until(lambda: self.place.sql("intake", pending) == "0", seconds=60, what="everything told")
        self.place.compose("rm", "--stop", "--force", "kafka")
        docker("volume", "rm", f"{self.place.project}_kafka-data")
        self.place.compose("up", "--detach", "--no-deps", "followup")
        waited(lambda: self.place.typed("afterglow pipeline status"), good, seconds=PATIENCE_SECONDS, what="all services answer")

    def works_with_new_secrets(self) -> None:
        self.admit("with new secrets")
        self.arrives("with new secrets")

    def admit(self, name: str) -> None:
        body = {
            "given_name": "Test", "family_name": f"Testerly{uuid4().hex}", "birth_date": "1984-06-19",
            "email": "someone@patients.example", "time_zone": "America/New_York", "preferred_channel": "email",
        }  # fmt: skip
        assert self.clinic is not None
        self.patients[name] = UUID(self.runner.run(self.clinic.post("/intake/v1/patients", body))["patient_id"])

    def has(self, name: str, *, at: str = "followup") -> bool:
        statement = f"SELECT count(*) FROM patient WHERE patient_id = '{self.patients[name]}'"  # noqa: S608 - a UUID
        return self.place.sql(at, statement) == "1"

    def arrives(self, name: str) -> None:
        until(lambda: self.has(name), seconds=120, what=f"the patient {name} known to followup")


def both_are_told(ran: Ran) -> bool:
    return all(f'alertname="RecordsParked", alertstate="firing", consumer="followup", reason="{reason}"' in ran.out for reason in REASONS)


REASONS = ("undecodable", "poison")


def says(words: str) -> Callable[[Ran], bool]:
    return lambda ran: words in ran.out


def lacks(words: str) -> Callable[[Ran], bool]:
    return lambda ran: words not in ran.out


def good(ran: Ran) -> bool:
    return ran.code == 0


def nothing() -> None:
    return None


def walk(place: Installation) -> None:
    with asyncio.Runner() as runner:
        person = Walk(place, runner)
        try:
            last = BEFORE
            for command in commands(TEXT):
                if command.section != last:
                    person.after.get(last, nothing)()
                    person.breaks.get(command.section, nothing)()
                    last = command.section
                if command.section != BEFORE:
                    person.type(command)
            assert [line for line, wanted in person.seen.items() if wanted] == []
        finally:
            person.leave()


@pytest.mark.compose
@pytest.mark.timeout(1800)
async def test_the_page_is_typed_from_top_to_bottom_while_things_break(installation: Installation) -> None:
    """Poison in, told, found, mended, redriven; then stores restarted, records lost, a backup restored, a log lost, secrets renewed."""
    await asyncio.to_thread(walk, installation)
    assert installation.containers() == []
    volumes = docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={installation.project}").split()
    assert len(volumes) == 3, "stopping keeps the data"
