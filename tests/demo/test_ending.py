"""How the demo ends: what it leaves in the temporary folder, whichever way it was ended, and what it says to look at."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from services.demo import run
from services.demo.cast import CAST, Person
from services.demo.clinic import Clinic
from services.demo.day import Day
from services.demo.product import Product, ProductFailed
from shared.security.staff_links import StaffLink, StaffLinks

ROOT = Path(__file__).parents[2]

PATIENT = """
import asyncio, signal, sys
from types import SimpleNamespace
from services.demo import run

# Where the tests run in the background, an interrupt is ignored by inheritance.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def wait_to_be_ended(demo, *_, stay=True):
    demo.product.secrets.mkdir(parents=True)
    print("waiting", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("stopped", flush=True)
"""

BEFORE_THE_TABLE = """
run.Demo.run = wait_to_be_ended
"""

AFTER_THE_TABLE = """
async def opened(product):
    return SimpleNamespace(clinic_id=None, system=SimpleNamespace(close=closed))

async def closed():
    pass

async def counted(demo, day, ledger):
    return table

run.open_clinic, run.Day = opened, lambda *_: None
run.Demo.clock, run.Demo._next_opening = None, lambda demo: None
run.Demo._counted, run.Demo._stay, run.Demo.run = counted, wait_to_be_ended, run.Demo._play
"""

PLAY = """
sys.exit(run.run_embedded(once={once}, failpoint="", port=1, ops_port=2, folder=None))
"""


def ended(number: signal.Signals, script: str, folder: Path) -> tuple[int, str]:
    """The exit code of a demo that is sent a signal as soon as it waits, and what it said then."""
    command = [sys.executable, "-c", PATIENT + script]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(folder)}, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == "waiting\n"
        assert len([*folder.glob("afterglow-demo-*/secrets")]) == 1
        demo.send_signal(number)
        said = demo.stdout.read()
    return demo.returncode, said


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_demo_that_is_ended_before_its_table_says_so_by_its_code_and_leaves_no_secret(
    number: signal.Signals, code: int, once: bool, tmp_path: Path
) -> None:
    told = "The demo was ended before its closing table: nothing was counted.\n"
    assert ended(number, BEFORE_THE_TABLE + PLAY.format(once=once), tmp_path) == (code, f"stopped\n{told}")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("table", [0, 1])
def test_a_demo_that_stayed_up_ends_with_what_its_table_said(number: signal.Signals, table: int, tmp_path: Path) -> None:
    script = f"table = {table}" + AFTER_THE_TABLE + PLAY.format(once=False)
    assert ended(number, script, tmp_path) == (table, "stopped\n")
    assert [*tmp_path.iterdir()] == []


def test_of_a_demo_that_failed_only_what_the_product_said_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(demo: run.Demo, *, stay: bool) -> int:
        assert not stay
        demo.product.secrets.mkdir(parents=True)
        (demo.product.secrets.parent / "product.log").write_text("Refused to start: no reason\n")
        raise ProductFailed("the product ended with code 78")

    monkeypatch.setattr(run.Demo, "run", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run.run_embedded(once=True, failpoint="", port=1, ops_port=2, folder=None) == 1
    (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert kept.read_text() == "Refused to start: no reason\n"
    said = capsys.readouterr()
    assert "the product ended with code 78" in said.out
    assert str(kept) in said.err


def test_the_link_that_is_named_is_one_that_nobody_answered(tmp_path: Path) -> None:
    people = [
        Person(role, birth_date=f"198{number}-01-01", email=f"{number}@example.org") for number, role in enumerate(CAST) if number < 4
    ]
    for age, person in enumerate(reversed(people)):
        path = tmp_path / f"{person.email}.json"
        path.write_text(json.dumps({"to": person.email}))
        os.utime(path, (age, age))
    ((_, named),) = run.message_to_open(tmp_path, cast(Day, SimpleNamespace(people=people)))
    (silent,) = [person for person in people if person.role.reply == "never"]
    assert silent.email in named
    assert silent.birth_date in named


def test_without_a_message_that_nobody_answered_none_is_named(tmp_path: Path) -> None:
    assert run.message_to_open(tmp_path, cast(Day, SimpleNamespace(people=[]))) == []


def test_the_task_list_is_named_by_a_link_as_the_coordinator(tmp_path: Path) -> None:
    (tmp_path / "followup-link-secret").write_text("a link secret that only tests know of\n")
    coordinator, clinic_id = uuid4(), uuid4()
    product = cast(Product, SimpleNamespace(secrets=tmp_path, origin="http://127.0.0.1:8000"))
    day = cast(Day, SimpleNamespace(staff=SimpleNamespace(coordinator=str(coordinator))))
    _, address = run.list_to_open(product, cast(Clinic, SimpleNamespace(clinic_id=clinic_id)), day)
    origin, _, link = address.rpartition("/queue/enter/")
    assert origin == product.origin
    assert StaffLinks(b"a link secret that only tests know of").opened(link) == StaffLink(clinic_id, coordinator)
