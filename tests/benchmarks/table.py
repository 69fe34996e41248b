"""The figures as a table: each beside its floor and its goal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from services.followup.tasks.queries import View

BEST_PEER = 280
"""Completions a second that the best of five other stacks sustained on two processors; docs/performance.md names them."""


def table_of(figures: Mapping[str, Any]) -> Table:  # Any: figures by name, in groups
    """One line for each figure."""
    table = Table(title="Afterglow: one infusion, from its completion by HTTP to its committed follow-up", title_justify="left")
    for name in ("figure", "product", "floor", "product / floor", "goal"):
        table.add_column(name, justify="left" if name in ("figure", "goal") else "right")
    product, floor = figures["product"], figures["floor"]

    def line(name: str, group: str, key: str, form: str, goal: str = "") -> None:
        ours, bare = product[group][key], floor[group][key]
        table.add_row(name, format(ours, form), format(bare, form), f"{ours / bare:.2f}", goal)

    line("sustained, per second", "sustained", "per_second", ".0f", f"half of the floor; {3 * BEST_PEER}")
    line("drain after an outage, per second", "drain", "per_second", ".0f", "1000")
    line("request to visible task at 30 %, p50 ms", "latency", "p50_ms", ".1f")
    line("request to visible task at 30 %, p99 ms", "latency", "p99_ms", ".1f", "5 times the floor; 1000")
    for key in ("p50_ms", "p99_ms"):
        table.add_row(f"worrying answer to visible task at 30 %, {key[:3]} ms", format(product["answers"][key], ".1f"))
    for service, told in product["news"].items():
        for key in ("p50_ms", "p99_ms"):
            table.add_row(f"role taken away to refusal by {service} at 30 %, {key[:3]} ms", format(told[key], ".1f"), "", "", "1000")
    line("16 clients flat out: accepted per second", "flat_out", "accepted_per_second", ".0f")
    line("16 clients flat out: finished in the window", "flat_out", "share", ".1%", "95 %")
    line("bytes of write-ahead log", "sustained", "wal_bytes", ".0f")
    line("processor ms, sessions", "sustained", "cpu_ms_sessions", ".2f")
    line("processor ms, followup", "sustained", "cpu_ms_followup", ".2f")
    counts = figures["counts"]
    table.add_row("round trips, sessions", str(counts["sessions"]["round_trips"]))
    for size, one in counts["followup"].items():
        if size in ("1", "50"):
            table.add_row(f"round trips, followup, {size} at once", str(one["round_trips"]))
    for key, name, form, goal in _EMBEDDED:
        table.add_row(f"embedded: {name}", format(figures["embedded"][key], form), "", "", goal)
    return table


def growth_table(figures: Mapping[str, Any]) -> Table:  # Any: as above
    """One column for each size."""
    table = Table("figure", title="Afterglow: with so many open tasks and past infusions", title_justify="left")
    sizes = list(figures.values())
    for size in figures:
        table.add_column(size, justify="right")
    for name, group, key, form in _GROWTH:
        table.add_row(name, *(format(of_size[group][key], form) for of_size in sizes))
    for view in View:
        table.add_row(f"page of the queue, {view}, p50 ms", *(format(of_size["lists"][view]["p50_ms"], ".1f") for of_size in sizes))
    for group, what in (("lists", "page of the queue"), ("counts", "counts of all views")):
        slowest = [max(of_size[group].items(), key=lambda item: float(item[1]["p50_ms"])) for of_size in sizes]
        table.add_row(f"{what}, the slowest order or filter, p50 ms", *(f"{waits['p50_ms']:.1f} ({name})" for name, waits in slowest))
    return table


_GROWTH = (
    ("sustained, per second", "sustained", "per_second", ".0f"),
    ("request to visible task at 30 %, p50 ms", "latency", "p50_ms", ".1f"),
    ("request to visible task at 30 %, p99 ms", "latency", "p99_ms", ".1f"),
    ("drain: plans made per second", "drain", "per_second", ".0f"),
    ("tasks marked as overdue, per second", "timers", "per_second", ".0f"),
    ("claim, p50 ms", "claim", "p50_ms", ".1f"),
    ("claim, p99 ms", "claim", "p99_ms", ".1f"),
    ("audit of completeness, infusions per second", "audit", "per_second", ".0f"),
)

_EMBEDDED = (
    ("seconds_to_ready", "seconds from start to ready", ".1f", ""),
    ("memory_mib_services", "MiB, the three services", ".0f", ""),
    ("memory_mib_postgres", "MiB, PostgreSQL", ".0f", ""),
    ("idle_cpu_services", "idle, the services' part of a processor", ".1%", "1 %"),
    ("idle_cpu_postgres", "idle, PostgreSQL's part of a processor", ".1%", ""),
)
