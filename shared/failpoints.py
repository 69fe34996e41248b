"""Named places where a fault can be injected: no-ops unless the environment names one, and never in production.

``AFTERGLOW_FAILPOINTS="relay.after_publish=kill@3,inbox.before_commit=raise"`` ends the process by SIGKILL at the third time
that ``relay.after_publish`` is reached, and raises InjectedFault at the first ``inbox.before_commit``. Each one acts once.
"""

import os
import signal

IN_ORDER = (
    "api.after_commit",
    "outbox.before_commit",
    "audit.before_commit",
    "relay.after_select",
    "relay.after_publish",
    "relay.after_mark",
    "inbox.before_commit",
    "inbox.after_commit",
    "timers.before_commit",
    "timers.after_commit",
    "outreach.before_send",
    "outreach.after_send",
)
"""The failpoints of every day, in the order in which a change, its event and what follows from it come past them."""

OF_A_FLOOD = ("draining.before_commit", "draining.after_commit")
"""Those that are passed only where a key has more events than are handled at once: a clinic's day does not come past them."""

NAMES = frozenset((*IN_ORDER, *OF_A_FLOOD))


class InjectedFault(Exception):
    """Raised by a failpoint that was told to raise."""


class _Failpoint:
    def __init__(self, action: str, hits_left: int) -> None:
        self.action = action
        self.hits_left = hits_left

    def hit(self) -> None:
        self.hits_left -= 1
        if self.hits_left != 0:
            return
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if self.action == "raise":
            raise InjectedFault


def parse(text: str) -> dict[str, _Failpoint]:
    """Read the setting. Raises ValueError for an unknown name or action."""
    points = {}
    for item in filter(None, text.split(",")):
        name, _, what = item.partition("=")
        action, _, count = what.partition("@")
        if name not in NAMES:
            raise ValueError(f"no failpoint is called {name}; there are {', '.join(sorted(NAMES))}")
        if action not in ("kill", "stop", "raise"):
            raise ValueError(f"failpoint {name}: the action is kill, stop or raise")
        points[name] = _Failpoint(action, int(count or 1))
    return points


_active = parse(os.environ.get("AFTERGLOW_FAILPOINTS", ""))


def active() -> bool:
    """Whether any fault is set to be injected; production refuses to start then."""
    return bool(_active)


if _active:

    def hit(name: str) -> None:
        """Do what was asked for at this point."""
        point = _active.get(name)
        if point is not None:
            point.hit()
else:

    def hit(name: str) -> None:
        """Nothing: no failpoint is set."""
