"""Where a fault strikes a service, by the window that it hits, and how to see that it has struck."""

from collections.abc import Sequence
from functools import partial

from tests.faults.processes import ServiceProcess
from tests.support.waiting import eventually

BEFORE_PUBLISH, BEFORE_MARK = "relay.after_select", "relay.after_publish"
IN_THE_HANDLER, BEFORE_KAFKA_COMMIT = "inbox.before_commit", "inbox.after_commit"
IN_THE_TIMER, AFTER_THE_TIMER = "timers.before_commit", "timers.after_commit"
BEFORE_COMMIT, BEFORE_ANSWER = "outbox.before_commit", "api.after_commit"


async def killed_once(*processes: ServiceProcess) -> None:
    """Wait until one of them has died: it was armed, and now the fault has begun."""
    await eventually(partial(deaths_of, *processes), within=240)


async def killed_at_each(process: ServiceProcess, count: int) -> None:
    """Wait until a process has died at all its failpoints, and at nothing else."""
    await eventually(partial(deaths_of, process), lambda deaths: len(deaths) == count, within=240, every=0.1)
    assert process.struck == count, process.deaths
    await process.ready()


async def deaths_of(*processes: ServiceProcess) -> Sequence[object]:
    return [death for process in processes for death in process.deaths]


async def is_frozen(process: ServiceProcess) -> bool:
    return process.frozen
