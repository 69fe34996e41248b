"""What the demo makes of a product that ends: killed where its failpoint says, or broken."""

import asyncio
import json
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


@pytest.mark.parametrize("own", [True, False])
async def test_a_product_is_ready_only_when_its_own_process_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    monkeypatch.setattr("services.demo.embedded_product._READY_SECONDS", 2.0)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert product._process is not None  # noqa: SLF001 - a start needs a database
        body = json.dumps({"process": product._process.pid if own else 1})  # noqa: SLF001 - as above
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as somebody:
        product = EmbeddedProduct(Embedding(tmp_path, port=1, ops_port=somebody.sockets[0].getsockname()[1], env="demo"))
        await product._launch()  # noqa: SLF001 - as above
        try:
            if own:
                await product._until_ready()  # noqa: SLF001 - as above
            else:
                with pytest.raises(ProductFailed, match="not ready"):
                    await product._until_ready()  # noqa: SLF001 - as above
        finally:
            await product.stop()


async def test_a_product_that_is_slowed_down_is_started_once_more_on_that_clock_and_counts_no_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, clocks = tmp_path / "program", tmp_path / "clocks"
    program.write_text(f'#!/bin/sh\necho "$AFTERGLOW_CLOCK" >>{clocks}\nexec sleep 60\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    product = EmbeddedProduct(Embedding(tmp_path, port=1, ops_port=2, env="demo"))

    async def begun() -> list[str]:
        return clocks.read_text().splitlines() if clocks.exists() else []

    async def ready() -> None:
        await eventually(begun, lambda lines: len(lines) == 2)

    monkeypatch.setattr(product, "_until_ready", ready)
    clock = DayClock(AcceleratedClock(Phase(datetime.now(UTC), datetime.now(UTC), 1800)))
    product._clock = clock  # noqa: SLF001 - a start needs a database
    await product._launch()  # noqa: SLF001 - as above
    await eventually(begun)
    product._watching = asyncio.create_task(product._restart_when_killed())  # noqa: SLF001 - as above
    await product.slow_down(clock)
    await product.stop()
    assert [line.rsplit(",", 1)[1] for line in await begun()] == ["1800", "1"]
    assert (product.restarts, product.missed()) == (0, [])
