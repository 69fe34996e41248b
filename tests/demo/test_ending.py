"""How the demo ends: what it leaves in the temporary folder, whichever way it was ended."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from services.demo import run
from services.demo.product import ProductFailed

ROOT = Path(__file__).parents[2]

WAITING = """
import asyncio, signal, sys
from services.demo import run

# Where the tests run in the background, an interrupt is ignored by inheritance.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def play(demo, *, stay):
    demo.product.secrets.mkdir(parents=True)
    print("playing", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("stopped", flush=True)

run.Demo.run = play
sys.exit(run.run_embedded(once=False, failpoint="", port=1, ops_port=2, folder=None))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_told_to_end_stops_its_product_and_leaves_no_secret(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == "playing\n"
        assert len([*tmp_path.glob("afterglow-demo-*/secrets")]) == 1
        demo.send_signal(number)
        assert demo.stdout.read() == "stopped\n"
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
