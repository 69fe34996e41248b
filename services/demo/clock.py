"""The clock of a demo day as everybody who plays it reads it: it stands still while the product is being started again."""

from datetime import UTC, datetime, timedelta

from shared.clock import AcceleratedClock, Phase


class DayClock:
    """Always the newest phases: an outage adds some, and whoever waits for a moment waits so much longer."""

    def __init__(self, phases: AcceleratedClock) -> None:
        self._phases = phases

    def now(self) -> datetime:
        return self._phases.now()

    def remaining(self, simulated: datetime) -> timedelta:
        """Real time until a simulated moment, as far as is known by now."""
        return self._phases.real_moment(simulated) - datetime.now(UTC)

    def stand_still(self, seconds: float) -> None:
        """From now on for so long."""
        since = datetime.now(UTC)
        self._phases = self._phases.standing_still(since, since + timedelta(seconds=seconds))

    @property
    def in_step_at(self) -> datetime:
        """The real moment from which on time passes in it as it does everywhere."""
        return self._phases.settled_at

    def go_at_real_pace(self) -> None:
        """From now on, as everybody's clock does."""
        self._phases = AcceleratedClock(Phase(datetime.now(UTC), self.now(), 1))

    def __str__(self) -> str:
        """As a process takes it at its start."""
        return str(self._phases)
