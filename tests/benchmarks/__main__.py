"""``make bench``: the product's figures beside their floors, as a table on the terminal and as JSON in build/bench.json."""

import os
import platform
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from shared import telemetry
from tests.benchmarks import measures
from tests.benchmarks.answers import answers
from tests.benchmarks.embedded import embedded
from tests.benchmarks.floor import consumer, writer
from tests.benchmarks.ground import Ground, prepared
from tests.benchmarks.growth import LARGE, SETTINGS, SMALL, growth
from tests.benchmarks.load import Work, requests
from tests.benchmarks.measures import Lengths
from tests.benchmarks.news import news
from tests.benchmarks.recording import Recordings, record
from tests.benchmarks.table import growth_table, table_of

RESULT = Path("build/bench.json")
Figures = dict[str, Any]  # Any: figures by name, in groups
_say = Console(stderr=True, highlight=False).print


async def run(floor: Lengths, product: Lengths) -> Figures:
    """Floor and product in one run, on the same databases and topics, one after the other."""
    _say("starting PostgreSQL, Kafka and the services")
    async with prepared() as ground:
        await ground.installation.stop("sessions", "followup")
        _say("noting the product's statements")
        recordings = await record(ground)
        figures: Figures = {"machine": _machine(), "counts": _counts(recordings)}
        _say("measuring the floor")
        figures["floor"] = await _floor(ground, recordings, floor)
        _say("measuring the product")
        figures["product"] = await _product(ground, product)
    _say("starting the embedded mode")
    figures["embedded"] = await embedded()
    figures["machine"]["load_at_end"] = os.getloadavg()
    return figures


async def _floor(ground: Ground, recordings: Recordings, lengths: Lengths) -> Figures:
    async with writer(ground, recordings) as work:
        async with consumer(ground, recordings) as pid:
            pids = {"sessions": os.getpid(), "followup": pid}
            figures: Figures = {"sustained": await measures.sustained(work, ground, lengths, pids)}
            _say(f"  sustained {figures['sustained']['per_second']:.0f} a second")
            figures |= await _more(work, ground, lengths, figures)
        target = await measures.backlog(work, ground, lengths)
        async with consumer(ground, recordings):
            figures["drain"] = await measures.drained(ground, target)
            _say(f"  drain {figures['drain']['per_second']:.0f} a second")
    return figures


async def _product(ground: Ground, lengths: Lengths) -> Figures:
    services = {name: ground.installation.one(name) for name in ("sessions", "followup")}
    for service in services.values():
        await service.start()
    for service in services.values():
        await service.ready()
    async with requests(ground) as work:
        pids = {name: service.pid for name, service in services.items()} | {"load": os.getpid()}
        figures: Figures = {"sustained": await measures.sustained(work, ground, lengths, pids)}
        _say(f"  sustained {figures['sustained']['per_second']:.0f} a second")
        figures |= await _more(work, ground, lengths, figures)
        await services["followup"].stop()
        target = await measures.backlog(work, ground, lengths)
        await services["followup"].start()
        figures["drain"] = await measures.drained(ground, target)
        _say(f"  drain {figures['drain']['per_second']:.0f} a second")
        light = measures.LIGHT * figures["sustained"]["per_second"]
        figures["answers"] = await answers(work, ground, lengths.answers, light)
        _say(f"  a worrying answer {figures['answers']['p50_ms']:.0f} ms, p99 {figures['answers']['p99_ms']:.0f} ms")
        figures["news"] = await news(work, ground, lengths.answers, light)
        _say(f"  a role taken away counts after {max(one['p50_ms'] for one in figures['news'].values()):.0f} ms")
    return figures


async def _more(work: Work, ground: Ground, lengths: Lengths, figures: Figures) -> Figures:
    latency = await measures.latency(work, ground, lengths, figures["sustained"]["per_second"])
    _say(f"  at {measures.LIGHT:.0%} of it {latency['p50_ms']:.0f} ms, p99 {latency['p99_ms']:.0f} ms")
    flat_out = await measures.flat_out(work, ground, lengths)
    _say(f"  flat out {flat_out['share']:.1%} finished")
    return {"latency": latency, "flat_out": flat_out}


async def run_growth(lengths: Lengths, sizes: Sequence[int]) -> Figures:
    """The product alone, with little and with much that is there already."""
    _say("starting PostgreSQL, Kafka and the services")
    async with prepared(SETTINGS) as ground:
        machine = _machine()
        return {"growth": await growth(ground, lengths, sizes, _say), "machine": machine | {"load_at_end": os.getloadavg()}}


def _counts(recordings: Recordings) -> Figures:
    """Statements and round trips, which no load changes."""
    completion = recordings.completion.transaction
    return {
        "sessions": {"statements": len(completion.statements), "round_trips": completion.round_trips},
        "followup": {
            str(size): {"statements": len(one.transaction.statements), "round_trips": one.transaction.round_trips}
            for size, one in recordings.follow_ups.items()
        },
    }


def _machine() -> Figures:
    return {
        "at": datetime.now(UTC),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "load_at_start": os.getloadavg(),
    }


def main() -> None:
    """Measure, print, write."""
    parser = ArgumentParser(prog="make bench")
    parser.add_argument("--short", action="store_true", help="a few seconds of everything: to see that it works")
    parser.add_argument("--growth", action="store_true", help="instead: with a thousand and with a million open tasks and past infusions")
    parser.add_argument("--large", type=int, help="the larger number, a million if not given")
    given = parser.parse_args()
    telemetry.configure_logs(level="ERROR")
    floor, product = (_SHORT_FLOOR, _SHORT) if given.short else (_FLOOR, _PRODUCT)
    if given.growth:
        large = given.large or (LARGE // 100 if given.short else LARGE)
        figures = uvloop.run(run_growth(product, [SMALL, large]))
        _hand_over(growth_table(figures["growth"]), figures, RESULT.with_name("bench-growth.json"))
    else:
        figures = uvloop.run(run(floor, product))
        _hand_over(table_of(figures), figures, RESULT)


def _hand_over(table: Table, figures: Figures, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    console = Console(highlight=False)
    console.width = max(console.width, 110)
    console.print(table)
    _say(f"All figures: {path}")


_FLOOR, _PRODUCT = Lengths(20, 20_000, 3000, 0), Lengths(20, 5000, 1000, 100)
_SHORT_FLOOR, _SHORT = Lengths(5, 2000, 3000, 0), Lengths(5, 1000, 1000, 10)


if __name__ == "__main__":
    main()
