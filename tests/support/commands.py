"""The command line as a person runs it: each command in a process of its own, forked from one that has everything imported already.

A fresh interpreter needs half a second of processor time for its imports, and the tests run some hundred commands.
"""

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.__main__ import main

_ROOT = Path(__file__).parents[2]
_IMPORTED = multiprocessing.get_context("forkserver")
_IMPORTED.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Ran:
    """A command that has ended: its exit code and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # Any: a decoded JSON document
        return json.loads(self.out)


async def afterglow(*arguments: str) -> Ran:
    """Run ``afterglow <arguments>`` in the root of the repository, with this process's environment and without a terminal."""
    with tempfile.TemporaryDirectory(prefix="afterglow-command-") as name:
        said = Path(name)
        command = _IMPORTED.Process(target=_run, args=(arguments, said, dict(os.environ)))
        command.start()
        await asyncio.to_thread(command.join)
        assert command.exitcode is not None
        return Ran(command.exitcode, (said / "out").read_text(), (said / "err").read_text())


def _run(arguments: Sequence[str], said: Path, environment: Mapping[str, str]) -> None:
    """In the process of the command: as an interpreter of its own would find things."""
    for name, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(said / name, os.O_CREAT | os.O_WRONLY), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(_ROOT)
    sys.argv = ["afterglow", *arguments]
    main()
