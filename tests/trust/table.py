"""``access.csv``: who may call each operation of clinic systems, as people have decided it. The code is held against it.

A row is an operation, asked about a record of the own or of another clinic; a column is who is named by the system. ``allow`` means
that access refuses nothing; anything else is the code of the refusal.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from shared.events.intake import Role

NOBODY, DEACTIVATED, ELSEWHERE, UNKNOWN = "nobody", "deactivated", "elsewhere", "unknown"
NAMED = (NOBODY, *Role, DEACTIVATED, ELSEWHERE, UNKNOWN)
"""Whom a system may name. All but the single roles hold every role: one is deactivated, one another clinic's, one unknown."""

Table = Mapping[tuple[str, str], Mapping[str, str]]


def access_table() -> Table:
    """The answers by operation (``GET /path``) and clinic (``own`` or ``other``), then by who is named."""
    with Path(__file__).with_name("access.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = {(row.pop("operation"), row.pop("clinic")): row for row in rows}
    if len(table) != len(rows):
        raise ValueError("access.csv names an operation twice")
    return table


def if_match_table() -> Mapping[str, str]:
    """Of every operation that changes a record: whether the version that was seen is ``required``, or only refused where it is stale."""
    with Path(__file__).with_name("if_match.csv").open(newline="") as file:
        return {row["operation"]: row["if_match"] for row in csv.DictReader(file)}
