"""One installation under fault: three services as processes of their own, over a real Kafka and a PostgreSQL that keeps what it commits."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
from joserfc.jwk import ECKey
from sqlalchemy import make_url

from services import secrets
from services.embedded import Embedding, environment
from shared.postgres import SERVICES
from tests.faults.clinic import Clinic, Gateway, System
from tests.faults.processes import ServiceProcess
from tests.faults.servers import Postgres
from tests.support.broker import Broker
from tests.support.databases import PASSWORD
from tests.support.house import ClonedServer

TOPICS = tuple(f"{service}.events" for service in SERVICES)
READS = {"sessions": ("intake.events", "followup.events"), "followup": ("intake.events", "sessions.events")}
"""Which topics a service consumes."""

ORIGIN = "http://afterglow.test"
SESSION_SECONDS = 6.0
"""How long Kafka keeps the place of a member that is silent: the least that a broker allows."""

_WITNESS = """
    CREATE SCHEMA witness;
    CREATE TABLE witness.applied (
        n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, infusion_id uuid NOT NULL, version int NOT NULL);
    CREATE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        'BEGIN INSERT INTO witness.applied (infusion_id, version) VALUES (NEW.infusion_id, NEW.version); RETURN NULL; END';
    CREATE TRIGGER witness AFTER INSERT OR UPDATE ON public.infusion FOR EACH ROW EXECUTE FUNCTION witness.note();
"""
"""Every time that followup takes over what an event says of an infusion, in the handler's own transaction and with no unique key."""


class Installation:
    """The parts, and what a scenario may do to them."""

    def __init__(self, server: Postgres, broker: Broker, folder: Path, urls: Mapping[str, str]) -> None:
        self.server = server
        self.broker = broker
        self.folder = folder
        self.urls = dict(urls)
        self.processes: dict[str, list[ServiceProcess]] = {service: [] for service in SERVICES}
        self.gateway = Gateway(self.ports)
        self._settings: dict[str, str] = {}

    def ports(self, service: str) -> list[int]:
        """Where a service answers; one that is being started again is asked all the same, as a gateway would."""
        return [process.port for process in self.processes[service]]

    def one(self, service: str) -> ServiceProcess:
        """The first process of a service."""
        return self.processes[service][0]

    def all(self, *services: str) -> list[ServiceProcess]:
        return [process for service in services or SERVICES for process in self.processes[service]]

    async def start(self, *, bugs: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None) -> None:
        """Start one process of each service; ``bugs`` are planted by service, ``settings`` are variables for all."""
        self._settings = dict(settings or {})
        for service in SERVICES:
            self.prepare(service, bug=(bugs or {}).get(service, ""))
        await asyncio.gather(*(process.start() for process in self.all()))
        await asyncio.gather(*(process.ready() for process in self.all()))

    async def add(self, service: str) -> ServiceProcess:
        """One more process of a service."""
        process = self.prepare(service)
        await process.start()
        await process.ready()
        return process

    def prepare(self, service: str, *, bug: str = "") -> ServiceProcess:
        """One more process of a service, not started."""
        own = self.processes[service]
        process = ServiceProcess(service, len(own), self._environment(service), self.folder / f"{service}-{len(own)}.log", bug=bug)
        own.append(process)
        return process

    async def arm(self, service: str, points: Sequence[str]) -> None:
        """Start the first process of a service anew, with failpoints. It may strike before the process is ready: nobody waits for that."""
        process = self.one(service)
        await process.stop()
        await process.start(points)

    async def stop(self, *services: str) -> None:
        """SIGTERM to all processes, or those of some services."""
        await asyncio.gather(*(process.stop() for process in self.all(*services)))

    def _environment(self, service: str) -> dict[str, str]:
        embedding = Embedding(self.folder, env="test", public_url=ORIGIN)
        own = environment(embedding, ClonedServer(self.urls), service)
        neighbours = {"AFTERGLOW_INTAKE_URL": "intake", "FOLLOWUP_SESSIONS_URL": "sessions"}
        found = {name: f"http://127.0.0.1:{self.ports(other)[0]}" for name, other in neighbours.items() if self.ports(other)}
        special = {
            "AFTERGLOW_KAFKA_BOOTSTRAP": self.broker.bootstrap,
            f"{service.upper()}_KAFKA_SESSION_TIMEOUT_MS": str(int(SESSION_SECONDS * 1000)),
            f"{service.upper()}_DATABASE_POOL_SIZE": "8",
            # The audit would repair what a fault had lost before anybody could count it; the scenarios that want it say so.
            "FOLLOWUP_AUDIT_GRACE_SECONDS": str(400 * 24 * 3600),
        }
        return own | found | special | self._settings

    async def clinic(self, *, seed: int) -> Clinic:
        """Open a clinic."""
        key = ECKey.import_key(json.loads(secrets.read(self.folder / "secrets", "operator-client-key.json")))
        operator = System(self.gateway, secrets.OPERATOR_CLIENT, key, secrets.OPERATOR_SCOPES, origin=ORIGIN)
        try:
            return await Clinic.open(self.gateway, operator, origin=ORIGIN, seed=seed)
        finally:
            await operator.close()

    @asynccontextmanager
    async def superuser(self, service: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A connection to a service's database for what no service may see."""
        connection = await self.server.server.admin(self.database(service))
        try:
            yield connection
        finally:
            await connection.close()

    def database(self, service: str) -> str:
        """The name of a service's database."""
        return str(make_url(self.urls[service]).database)

    async def handled(self, service: str) -> int:
        """How many events a service has handled."""
        async with self.superuser(service) as admin:
            return int(await admin.fetchval("SELECT count(*) FROM platform.inbox"))

    def logged(self, service: str, event: str) -> int:
        """How often the processes of a service logged this."""
        return sum(path.read_text().count(f'"event": "{event}"') for path in self.folder.glob(f"{service}-*.log"))

    def errors(self) -> list[str]:
        """What the services logged as errors: defects, not things that were away, of which their libraries say so all the same."""
        lines = (line for path in sorted(self.folder.glob("*.log")) for line in path.read_text(errors="replace").splitlines())
        own = (line for line in lines if '"event": "library.message"' not in line)
        return [line for line in own if '"level": "error"' in line or '"level": "critical"' in line or line.startswith("Traceback")]


@asynccontextmanager
async def installed(server: Postgres, broker: Broker, folder: Path, *, witness: bool = True) -> AsyncIterator[Installation]:
    """Fresh databases, topics and secrets; everything stopped and gone afterwards. ``witness`` notes each effect of an event."""
    secrets.generate(folder / "secrets")
    for service in SERVICES:
        (folder / "secrets" / f"{service}-database-password").write_text(PASSWORD)
    async with AsyncExitStack() as stack:
        urls = {service: await stack.enter_async_context(server.databases.clone(service)) for service in SERVICES}
        await broker.create_topics(*TOPICS)
        stack.push_async_callback(partial(_without, broker, TOPICS))
        installation = Installation(server, broker, folder, urls)
        if witness:
            async with installation.superuser("followup") as admin:
                await admin.execute(_WITNESS)
        stack.push_async_callback(installation.stop)
        stack.push_async_callback(installation.gateway.aclose)
        yield installation


async def _without(broker: Broker, topics: Iterable[str]) -> None:
    for topic in topics:
        await broker.delete_topic(topic)
