"""Business time as an argument: the system's, frozen for tests, or accelerated for the demo.

Tokens, leases and timeouts always use real time and never take a clock from here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Anything that tells the time, always aware and in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FrozenClock:
    """Stands still until a test moves it."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        return self._at

    def set(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def advance(self, by: timedelta) -> datetime:
        self._at += by
        return self._at


@dataclass(frozen=True)
class Phase:
    """From the real moment ``real`` on, the simulated moment ``simulated``, time passes ``rate`` times as fast; at 0 not at all."""

    real: datetime
    simulated: datetime
    rate: float


class AcceleratedClock:
    """Simulated time in phases, slow where there is something to see. All anchors are fixed moments, so a restarted process goes on."""

    def __init__(self, *phases: Phase) -> None:
        """At least one phase, in the order of time; before the first one its rate holds."""
        self._phases = phases

    def now(self) -> datetime:
        return self._at(datetime.now(UTC)).simulated

    def then(self, simulated: datetime, rate: float) -> "AcceleratedClock":
        """The same clock with another rate from a simulated moment on."""
        return AcceleratedClock(*self._phases, Phase(self.real_moment(simulated), simulated, rate))

    def standing_still(self, since: datetime, until: datetime) -> "AcceleratedClock":
        """The same clock, but between these real moments it stands still; all that came after comes so much later."""
        held = self._at(since)
        before = [phase for phase in self._phases if phase.real < since]
        after = [Phase(phase.real + (until - since), phase.simulated, phase.rate) for phase in self._phases if phase.real > since]
        return AcceleratedClock(*before, Phase(since, held.simulated, 0), Phase(until, held.simulated, held.rate), *after)

    @property
    def settled_at(self) -> datetime:
        """The real moment from which on its rate stays the same."""
        return self._phases[-1].real

    def _at(self, real: datetime) -> Phase:
        """How it stands and how fast it goes at a real moment."""
        phase = next((phase for phase in reversed(self._phases) if phase.real <= real), self._phases[0])
        return Phase(real, phase.simulated + (real - phase.real) * phase.rate, phase.rate)

    def real_moment(self, simulated: datetime) -> datetime:
        """When a simulated moment comes, in real time."""
        phase = next((phase for phase in reversed(self._phases) if phase.simulated <= simulated), self._phases[0])
        return phase.real + (simulated - phase.simulated) / phase.rate

    @classmethod
    def parse(cls, text: str) -> "AcceleratedClock":
        """From ``<real>,<simulated>,<rate>``, moments in RFC 3339, one for each phase, separated by ``;``."""
        parts = (phase.split(",") for phase in text.split(";"))
        return cls(
            *(Phase(datetime.fromisoformat(real), datetime.fromisoformat(simulated), float(rate)) for real, simulated, rate in parts)
        )

    def __str__(self) -> str:
        return ";".join(f"{phase.real.isoformat()},{phase.simulated.isoformat()},{phase.rate:g}" for phase in self._phases)
