"""Docker's command line as the demo needs it: the stack that this process's environment names, as `make` gives it."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.demo.product import ProductFailed

_LAST_WORDS = 1000


@dataclass(frozen=True)
class Container:
    """One container of the stack."""

    name: str
    part: str
    state: str
    health: str


async def docker(*arguments: str, stdin: str = "", settings: Mapping[str, str] | None = None) -> str:
    """What a command of ``docker`` prints. Raises ProductFailed with its last words."""
    process = await asyncio.create_subprocess_exec(
        "docker",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | dict(settings or {}),
    )
    out, err = await process.communicate(stdin.encode())
    if process.returncode != 0:
        command = " ".join(arguments[:3])
        raise ProductFailed(f"docker {command} ... ended with code {process.returncode}: {err.decode()[-_LAST_WORDS:].strip()}")
    return out.decode()


async def configuration() -> dict[str, Any]:  # Any: a part of the compose file
    """The compose file with every variable resolved."""
    found: dict[str, Any] = json.loads(await docker("compose", "config", "--format", "json"))  # Any: as above
    return found


async def containers(*parts: str) -> list[Container]:
    """All containers of the stack, or of these parts, in the order of their names."""
    told = await docker("compose", "ps", "--all", "--format", "json", *parts)
    rows = [json.loads(line) for line in told.splitlines()]
    return sorted((Container(row["Name"], row["Service"], row["State"], row["Health"]) for row in rows), key=lambda found: found.name)
