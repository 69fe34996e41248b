"""What the demo makes of a product that ends: killed where its failpoint says, or broken."""

import asyncio
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.demo.clock import DayClock
from services.demo.embedded_product import EmbeddedProduct, failpoints
from services.demo.product import ProductFailed
from services.embedded import Embedding
from shared.clock import AcceleratedClock, Phase
from tests.support.waiting import eventually

KILLED, CRASHED = "kill -9 $$", "exit 1"


async def supervised(folder: Path, monkeypatch: pytest.MonkeyPatch, end: str, *failpoints: str) -> EmbeddedProduct:
    """The product after its process has ended like this, once, and was started again."""
    program, begun = folder / "program", folder / "begun"
    program.write_text(f"#!/bin/sh\nif [ -e {begun} ]; then exec sleep 60; fi\ntouch {begun}\n{end}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    product = EmbeddedProduct(Embedding(folder, port=1, ops_port=2, env="demo"), failpoints)
    product._clock = DayClock(AcceleratedClock(Phase(datetime.now(UTC), datetime.now(UTC), 1)))  # noqa: SLF001 - a start needs a database
    await product._launch()  # noqa: SLF001 - as above
    product._watching = asyncio.create_task(product._restart_when_killed())  # noqa: SLF001 - as above

    async def restarts() -> int:
        return product.restarts

    await eventually(restarts)
    await product.stop()
    return product


async def test_a_kill_at_a_failpoint_is_part_of_the_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = await supervised(tmp_path, monkeypatch, KILLED, "api.after_commit=kill@1")
    assert product.story() == ["killed at api.after_commit=kill@1, started again"]
    assert product.missed() == []


async def test_a_crash_is_no_kill_at_a_failpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = await supervised(tmp_path, monkeypatch, CRASHED, "api.after_commit=kill@1")
    assert product.story() == []
    ended, never = product.missed()
    assert ended.startswith("the product ended by itself with code 1")
    assert never == "never reached: api.after_commit=kill@1"


@pytest.mark.parametrize(("end", "code"), [(KILLED, -9), (CRASHED, 1)])
async def test_an_end_that_nobody_asked_for_is_a_broken_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, code: int
) -> None:
    product = await supervised(tmp_path, monkeypatch, end)
    (ended,) = product.missed()
    assert ended.startswith(f"the product ended by itself with code {code};")


async def test_a_port_on_which_somebody_else_answers_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        with pytest.raises(ProductFailed, match=f"port {port} of 127.0.0.1 .*PORT=8001"):
            await EmbeddedProduct(Embedding(tmp_path, port=port, ops_port=port, env="demo")).prepare()


async def test_a_product_that_does_not_come_up_is_told_with_its_own_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = await supervised(tmp_path, monkeypatch, "echo Refused to start: no reason; exit 78")
    (ended,) = product.missed()
    assert "code 78" in ended
    assert "Refused to start: no reason" in ended


def test_a_failpoint_that_is_none_is_refused_with_the_names_of_those_that_are() -> None:
    assert len(failpoints("all")) > 1
    with pytest.raises(ValueError, match=r"bogus; there are .*relay\.after_publish"):
        failpoints("bogus")
