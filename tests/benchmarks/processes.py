"""What the kernel says of processes: time used and memory held."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pids: Iterable[int]) -> float:
    """Time on a processor so far, of processes that are still there."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += int(fields[11]) + int(fields[12]) if fields else 0
    return ticks / _TICKS


def memory_mib(pids: Iterable[int]) -> float:
    """Proportional set size: a page that n processes share counts one n-th for each."""
    kib = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def family(pid: int) -> list[int]:
    """A process and its children."""
    running = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid, *(other for other in running if (fields := _stat(other)) and int(fields[1]) == pid)]


def _stat(pid: int) -> list[str]:
    """From the state on; empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
