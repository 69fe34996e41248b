"""A port that somebody else has ends a start at once, in one sentence that names it, before anything was begun."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.listeners import EXIT_IN_USE, PortTaken, bound

ROOT = Path(__file__).parents[2]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield somebody.getsockname()[1]


def started(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AFTERGLOW_")} | settings
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("which", ["--port", "--ops-port"])
def test_the_embedded_product_says_which_port_is_taken_and_how_to_choose_another(taken: int, which: str, tmp_path: Path) -> None:
    free = {"--port": "0", "--ops-port": "0"} | {which: str(taken)}
    ran = started("services", "--folder", str(tmp_path), *(word for pair in free.items() for word in pair), AFTERGLOW_ENV="demo")
    assert ran.returncode == EXIT_IN_USE
    assert ran.stdout == "", "nothing was started that could log"
    (sentence,) = ran.stderr.splitlines()
    assert f"port {taken} of 127.0.0.1" in sentence
    assert "--port and --ops-port" in sentence
    assert not (tmp_path / "postgres").exists()


def test_a_service_alone_says_which_port_is_taken_and_how_to_choose_another(taken: int) -> None:
    settings = {
        "AFTERGLOW_ENV": "test",
        "SESSIONS_DATABASE_URL": "postgresql+psycopg://sessions@127.0.0.1:1/sessions",
        "SESSIONS_CURSOR_KEY": "0123456789abcdef" * 3,
        "SESSIONS_HTTP_PORT": str(taken),
        "SESSIONS_OPS_PORT": "0",
    }
    ran = started("services.sessions", **settings)
    assert (ran.returncode, ran.stdout) == (EXIT_IN_USE, "")
    (sentence,) = ran.stderr.splitlines()
    assert f"port {taken} of 127.0.0.1" in sentence
    assert "SESSIONS_HTTP_PORT" in sentence


def test_the_address_is_one_that_can_be_opened() -> None:
    with bound("127.0.0.1", 0, "127.0.0.1", 0) as listeners:
        assert listeners.url == f"http://127.0.0.1:{listeners.port}"


def test_both_ports_are_free_again_after_a_start_that_failed(taken: int) -> None:
    with bound("127.0.0.1", 0, "127.0.0.1", 0) as listeners:
        free = listeners.port
    with pytest.raises(PortTaken), bound("127.0.0.1", free, "127.0.0.1", taken):
        pass
    with bound("127.0.0.1", free, "127.0.0.1", 0) as listeners:
        assert listeners.port == free
