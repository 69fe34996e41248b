"""Every key that the code logs is on the allow-list; a log line would go without it, and no other test would notice."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shared.telemetry import ALLOWED_KEYS

ROOT = Path(__file__).parents[2]
_LOGGING = frozenset({"debug", "info", "warning", "error", "critical", "logger"})


def test_every_key_that_is_logged_is_allowed() -> None:
    logged = list(logged_keys())
    assert len(logged) > 50, "logging calls are not found any more"
    assert [f"{place}: {key}" for place, key in logged if key not in ALLOWED_KEYS] == []


def logged_keys() -> Iterator[tuple[str, str]]:
    """Where each key is given to a logger, and the key."""
    for path in sorted(path for top in ("services", "shared") for path in (ROOT / top).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _LOGGING:
                yield from ((f"{path.relative_to(ROOT)}:{call.lineno}", given.arg) for given in call.keywords if given.arg)
