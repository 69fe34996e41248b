"""The product as the stack of docker-compose.yml: already up, given the day's clock, reached through its gateway, and left up."""

import asyncio
import ssl
import time
from datetime import datetime
from pathlib import Path

from services import secrets
from services.demo import topics
from services.demo.clock import DayClock
from services.demo.containers import Container, configuration, containers, docker
from services.demo.ledger import Line
from services.demo.product import Pace, ProductFailed
from shared.clock import AcceleratedClock
from shared.postgres import SERVICES

PARTS = (*SERVICES, "gateway", "postgres", "kafka")
"""What can be killed."""

_DOWN_SECONDS = 3.0
_BACK_SECONDS = 180.0
_START_TIMEOUT_SECONDS = 180
_READ_LOOKS = 10
_START_SECONDS = 25.0
_QUICK = Pace(day_rate=1800, night_rate=7200, start_seconds=_START_SECONDS, look_seconds=2, patience_seconds=_BACK_SECONDS)
_SLOW = Pace(day_rate=600, night_rate=3600, start_seconds=_START_SECONDS, look_seconds=2, patience_seconds=_BACK_SECONDS)
"""A part that is killed at midday is back before the day of 42 seconds has ended, so that it costs hours and no check-in."""

_PSQL = (
    'PGPASSWORD="$(cat /run/secrets/postgres-admin-password)" exec psql --host 127.0.0.1 --username postgres --dbname "$1" '
    "--quiet --no-align --tuples-only --no-psqlrc --set ON_ERROR_STOP=1"
)
_ENDS = """
umask 077
module=org.apache.kafka.common.security.scram.ScramLoginModule
password=$(cat /run/secrets/kafka-admin-password)
cat >/tmp/demo.properties <<P
security.protocol=SASL_PLAINTEXT
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=$module required username="admin" password="$password";
P
export KAFKA_HEAP_OPTS='-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC'
exec /opt/kafka/bin/kafka-get-offsets.sh --bootstrap-server kafka:9092 --command-config /tmp/demo.properties --time latest
"""


class ComposeProduct:
    """The demo stack that the environment of this process names; nothing of it is published but the gateway."""

    def __init__(self, *, kill: str = "") -> None:
        """``kill`` is a part of which one container is killed in the middle of the day and started again."""
        self._kill = kill
        self.pace = _SLOW if kill else _QUICK
        self._story: list[str] = []
        self._replicas = 1
        self._postgres = self._kafka = ""
        self.been_until: datetime | None = None
        self.origin = ""
        self.secrets = self.messages = Path()
        self.trust: ssl.SSLContext | None = None

    @property
    def restarts(self) -> int:
        return len(self._story)

    async def prepare(self) -> None:
        if self._kill and self._kill not in PARTS:
            raise ProductFailed(f"there is no part {self._kill!r} to kill; there are {', '.join(PARTS)}")
        stack = await configuration()
        followup = stack["services"]["followup"]
        if followup["environment"]["AFTERGLOW_ENV"] != "demo":
            raise ProductFailed("this is no demo stack, and made-up patients belong into no other; to start one: make up DEMO=1")
        self.origin = followup["environment"]["AFTERGLOW_PUBLIC_URL"]
        self.messages = Path(next(volume["source"] for volume in followup["volumes"] if volume["target"] == "/messages"))
        self.secrets = Path(stack["secrets"][secrets.GATEWAY_CERTIFICATE]["file"]).parent
        await self._find_parts()
        self.trust = ssl.create_default_context(cafile=str(self.secrets / secrets.GATEWAY_CERTIFICATE))
        if self._clock_file.exists():
            self.been_until = AcceleratedClock.parse(self._clock_file.read_text()).now()

    async def start(self, clock: DayClock) -> None:
        """The services are made anew on this clock; the stores and the gateway stay."""
        self._clock_file.write_text(str(clock))
        settings = {"AFTERGLOW_CLOCK": str(clock), "AFTERGLOW_REPLICAS": str(self._replicas)}
        timeout = str(_START_TIMEOUT_SECONDS)
        await docker(
            "compose", "up", "--detach", "--wait", "--wait-timeout", timeout, "--no-deps", "--no-build", *SERVICES, settings=settings
        )

    async def stop(self) -> None:
        """Nothing: it was up before, and stays so."""

    async def slow_down(self, clock: DayClock) -> None:
        """Nothing: its services would all be made anew; the clock that they have comes down to real time by itself."""

    def passing(self, clock: DayClock) -> str:
        return f"and time goes by in a hurry until {clock.in_step_at.astimezone():%H:%M} here, then as it does here"

    def left(self, clock: DayClock) -> list[str]:
        return [f"The stack stays up on {self.origin}, {self.passing(clock)}. To end it: make down"]

    async def at_midday(self, clock: DayClock) -> None:
        """One container of the part that is to be killed is killed with -9, and started some seconds later."""
        if not self._kill:
            return
        victim = (await containers(self._kill))[0]
        moment = clock.now()
        began = time.monotonic()
        await docker("kill", "--signal", "KILL", victim.name)
        await asyncio.sleep(_DOWN_SECONDS)
        code = (await docker("inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}", victim.name)).strip()
        if code != "false 137":
            raise ProductFailed(f"{victim.name} was to be killed and is {code}")
        await docker("start", victim.name)
        await self._until_healthy(victim)
        took = time.monotonic() - began
        self._story.append(f"kill -9 of {victim.name} on {moment:%A %H:%M}; started again, and healthy {took:.0f} s after the kill")

    async def ask(self, service: str, query: str) -> str:
        return (await docker("exec", "--interactive", self._postgres, "sh", "-c", _PSQL, "psql", service, stdin=query)).strip()

    async def lines(self) -> list[Line]:
        """What the consumers have not handled, once they have had time for it."""
        counted: list[Line] = []
        for _ in range(_READ_LOOKS):
            ends = topics.ends_of(await docker("exec", self._kafka, "/bin/bash", "-c", _ENDS))
            positions = {service: topics.positions_of(await self.ask(service, topics.POSITIONS)) for service in topics.READ_BY}
            counted = topics.lines(ends, positions)
            if not any(line.broken for line in counted):
                break
        return counted

    def story(self) -> list[str]:
        return self._story

    def missed(self) -> list[str]:
        return [f"never killed: {self._kill}"] if self._kill and not self._story else []

    def whereabouts(self) -> list[tuple[str, str]]:
        return [
            ("its authority", str(self.secrets / secrets.GATEWAY_CERTIFICATE)),
            ("log", "make logs"),
            ("to end it", "make down"),
        ]

    @property
    def _clock_file(self) -> Path:
        """Kept, because simulated time goes on from one day to the next and never back."""
        return self.messages.parent / "clock"

    async def _find_parts(self) -> None:
        running = [found for found in await containers() if found.state == "running"]
        missing = sorted(set(PARTS) - {found.part for found in running})
        if missing:
            raise ProductFailed(f"{', '.join(missing)} of the demo stack: not running. To start it: make up DEMO=1")
        by_part = {part: [found.name for found in running if found.part == part] for part in PARTS}
        self._replicas = max(len(by_part[service]) for service in SERVICES)
        (self._postgres,), (self._kafka,) = by_part["postgres"], by_part["kafka"]

    async def _until_healthy(self, container: Container) -> None:
        deadline = time.monotonic() + _BACK_SECONDS
        while time.monotonic() < deadline:
            if any(found.name == container.name and found.health == "healthy" for found in await containers(container.part)):
                return
            await asyncio.sleep(0.5)
        raise ProductFailed(f"{container.name} was started again and is not healthy after {_BACK_SECONDS:.0f} s")
