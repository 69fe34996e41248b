"""The clinic day over Kafka, through the gateway of a demo stack with two replicas of each service, as `make demo KAFKA=1` plays it."""

import re
import subprocess
import sys

import pytest

from services.demo.compose_product import PARTS
from tests.deploy.stack import ROOT, Stack
from tests.support.commands import Ran

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

LINE = re.compile(r"^│ (\S.*?)\s+│ (\d+)\s+│ (\d*)\s+│$", re.MULTILINE)


def play(stack: Stack, *options: str) -> Ran:
    """The demo's command on this stack."""
    command = [sys.executable, "-m", "services", "demo", "--kafka", "--once", *options]
    try:
        done = subprocess.run(command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=False, timeout=600)
    except subprocess.TimeoutExpired as endless:
        printed = b"".join(filter(None, (endless.stdout, endless.stderr))).decode()
        raise AssertionError(f"the day has no end\n{printed}") from endless
    return Ran(done.returncode, done.stdout, done.stderr)


def table(said: str) -> dict[str, int]:
    """The closing table: what was found, by line."""
    return {what: int(found) for what, found, _ in LINE.findall(said)}


def test_a_day_over_kafka_keeps_every_promise(demo: Stack) -> None:
    ran = play(demo)
    assert ran.code == 0, ran.out + ran.err
    found = table(ran.out)
    assert found["infusions booked"] == 16
    assert found["follow-up sets made for them"] == found["infusions that ended with drug given"] == 12
    assert found["records read from Kafka by consumer groups"] > 100
    assert found["records not read"] == found["events not delivered"] == found["events parked"] == 0


def test_no_container_of_a_demo_runs_as_root(demo: Stack) -> None:
    assert [container["Name"] for container in demo.containers() if container["Config"]["User"].split(":")[0] in {"", "0", "root"}] == []


def test_a_second_up_changes_nothing(demo: Stack) -> None:
    before = {(container["Id"], container["State"]["StartedAt"]) for container in demo.containers() if container["State"]["Running"]}
    clock = (demo.folder / "clock").read_text()
    demo.compose("up", "--detach", "--wait", settings={"AFTERGLOW_CLOCK": clock})
    after = {(container["Id"], container["State"]["StartedAt"]) for container in demo.containers() if container["State"]["Running"]}
    assert after == before


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_killed_on_the_way_breaks_no_promise(demo: Stack, part: str) -> None:
    """On a stack that has had a day already: the next one is another clinic's."""
    ran = play(demo, "--kill", part)
    assert ran.code == 0, ran.out + ran.err
    assert re.search(rf"^kill -9 of {demo.project}-{part}-1 on \w+day \d\d:\d\d; started again", ran.out, re.MULTILINE)
    assert table(ran.out)["infusions booked"] == 16


def test_production_is_not_played_with(built: Stack) -> None:
    ran = play(built)
    assert ran.code == 1
    assert "this is no demo stack" in " ".join(ran.out.split())


def test_a_stack_that_is_not_up_is_said_to_be_down(built: Stack) -> None:
    down = Stack(built.folder, f"{built.project}-down", built.port, files=("docker-compose.yml", "deploy/compose.demo.yml"))
    ran = play(down)
    assert ran.code == 1
    assert "not running. To start it: make up" in " ".join(ran.out.split())


def test_a_part_that_is_none_is_refused(demo: Stack) -> None:
    ran = play(demo, "--kill", "zookeeper")
    assert ran.code == 1
    assert "there is no part 'zookeeper' to kill" in " ".join(ran.out.split())
