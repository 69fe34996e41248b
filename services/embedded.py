"""All three services in one process on a private PostgreSQL, behind one origin; the only code that sees all three."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from services import secrets
from services.followup.app import build as build_followup
from services.followup.settings import Settings as FollowupSettings
from services.intake.app import build as build_intake
from services.intake.settings import Settings as IntakeSettings
from services.sessions.app import build as build_sessions
from services.sessions.settings import Settings as SessionsSettings
from shared.clock import AcceleratedClock, Clock, SystemClock
from shared.listeners import Listeners, bound
from shared.local import LocalBus
from shared.migrations import migrate
from shared.postgres import SERVICES, provision
from shared.private_postgres import PrivatePostgres
from shared.serve import serve
from shared.service import Service
from shared.settings import UnsafeSettings, refuse
from shared.web import application

_FOR_PRODUCTION, _NOT_FOR_PRODUCTION = "for-production", "not-for-production"
"""Files in a data folder that say whose it is."""


class FolderInUse(Exception):
    """Another process runs on this data folder."""


@dataclass(frozen=True)
class Embedding:
    """Where and how to run: data folder, public port, port for health and metrics, and the environment's name."""

    folder: Path
    port: int = 8000
    ops_port: int = 9000
    env: str = "production"
    public_url: str = ""
    clock: str = ""

    @property
    def origin(self) -> str:
        return self.public_url or f"http://127.0.0.1:{self.port}"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def messages(self) -> Path:
        """Folder of the file-backed outgoing channel."""
        return self.folder / "messages"


async def prepare(embedding: Embedding) -> None:
    """Make the folder ready for a fast start: secrets, database server, roles, schema. Raises FolderInUse, and UnsafeSettings for a
    folder that is not of this environment.
    """
    with _lock(embedding.folder):
        async with _databases(embedding, _server(embedding)):
            pass


async def run(embedding: Embedding, listening_at: Callable[[str], None]) -> int:
    """Start everything on the folder and serve until told to stop; returns the exit code. Raises FolderInUse, PortTaken and
    UnsafeSettings.

    ``listening_at`` is told the address once it listens.
    """
    with _lock(embedding.folder), ports(embedding) as listeners:
        server = _server(embedding)
        safe_settings(embedding, server)
        async with _databases(embedding, server):
            return await _serve(embedding, server, listeners, listening_at)


def _server(embedding: Embedding) -> PrivatePostgres:
    """The folder's database server, not started, with the secrets that it needs. Raises UnsafeSettings for a folder that is another's."""
    _refuse_others_folder(embedding)
    secrets.generate(embedding.secrets)
    return private_postgres(embedding)


@asynccontextmanager
async def _databases(embedding: Embedding, server: PrivatePostgres) -> AsyncIterator[None]:
    """The server with every role and schema while the block runs; from here on the folder is of this environment."""
    _mark(embedding)
    await server.start()
    try:
        await prepare_databases(server, embedding.secrets)
        yield
    finally:
        await asyncio.to_thread(server.stop)


def _refuse_others_folder(embedding: Embedding) -> None:
    """A folder is production's or that of made-up people, for good. Raises UnsafeSettings for the other's.

    A database without a mark was made by a release that did not mark production's folder, so it may hold patients.
    """
    folder = embedding.folder
    made_up = (folder / _NOT_FOR_PRODUCTION).exists()
    if embedding.env == "production":
        if made_up:
            raise UnsafeSettings("AFTERGLOW_FOLDER", "a demo or test has run on this folder; production takes another")
    elif (folder / _FOR_PRODUCTION).exists() or ((folder / "postgres").exists() and not made_up):
        raise UnsafeSettings("AFTERGLOW_FOLDER", f"{folder} is production's, and AFTERGLOW_ENV says {embedding.env}; give another --folder")


def _mark(embedding: Embedding) -> None:
    """Say whose the folder is, before there is a database in it. A start that is refused has made it nobody's."""
    (embedding.folder / (_FOR_PRODUCTION if embedding.env == "production" else _NOT_FOR_PRODUCTION)).touch()
    (embedding.folder / ".gitignore").write_text("*\n")  # patients' data is not committed by accident


def ports(embedding: Embedding) -> AbstractContextManager[Listeners]:
    """Its two ports, taken. Raises PortTaken."""
    return bound("127.0.0.1", embedding.port, "127.0.0.1", embedding.ops_port)


def private_postgres(embedding: Embedding) -> PrivatePostgres:
    """The folder's own database server."""
    return PrivatePostgres(embedding.folder / "postgres", admin_password=secrets.read(embedding.secrets, "postgres-admin-password"))


async def prepare_databases(server: PrivatePostgres, folder: Path) -> None:
    """Roles, databases and newest schema of all services."""
    admin = await server.admin()
    try:
        for service in SERVICES:
            password, owner_password = (secrets.read(folder, f"{service}-{which}-password") for which in ("database", "owner"))
            await provision(admin, service, password=password, owner_password=owner_password)
    finally:
        await admin.close()
    for service in SERVICES:
        owner_password = secrets.read(folder, f"{service}-owner-password")
        await migrate(service, server.url(f"{service}_owner", owner_password, service))


async def _serve(embedding: Embedding, server: PrivatePostgres, listeners: Listeners, listening_at: Callable[[str], None]) -> int:
    clock = AcceleratedClock.parse(embedding.clock) if embedding.clock else SystemClock()
    services = build(embedding, server, clock)
    bus = services[0].bus
    assert isinstance(bus, LocalBus)
    for service in services:
        await bus.catch_up(service.database, f"{service.name}.events")
    apps = {service.name: application(service) for service in services}
    return await serve(Origin(apps), list(apps.values()), services, listeners, listening_at=listening_at)


class DatabaseServer(Protocol):
    """Where a service's database is."""

    def url(self, role: str, password: str, database: str) -> str: ...


def build(embedding: Embedding, server: DatabaseServer, clock: Clock) -> list[Service]:
    """The three services over one local bus and one clock. Raises UnsafeSettings for what production refuses."""
    bus = LocalBus()
    intake, sessions, followup = safe_settings(embedding, server)
    return [build_intake(intake, bus, clock), build_sessions(sessions, bus, clock), build_followup(followup, bus, clock)]


def safe_settings(embedding: Embedding, server: DatabaseServer) -> tuple[IntakeSettings, SessionsSettings, FollowupSettings]:
    """The settings of the three services. Raises UnsafeSettings for what production refuses."""
    values = {name: value for service in SERVICES for name, value in environment(embedding, server, service).items()}
    with _environment(values):
        settings = IntakeSettings.read(), SessionsSettings.read(), FollowupSettings.read()
    refuse(refusal for one in settings for refusal in one.refusals())
    return settings


def environment(embedding: Embedding, server: DatabaseServer, service: str) -> dict[str, str]:
    """The variables that a service would be given by its container."""
    prefix = service.upper()
    folder = embedding.secrets
    own = {
        "AFTERGLOW_ENV": embedding.env,
        "AFTERGLOW_PUBLIC_URL": embedding.origin,
        "AFTERGLOW_CLOCK": embedding.clock,
        "AFTERGLOW_INTAKE_URL": f"http://127.0.0.1:{embedding.port}",
        f"{prefix}_DATABASE_URL": server.url(service, secrets.read(folder, f"{service}-database-password"), service),
        f"{prefix}_CURSOR_KEY_FILE": str(folder / f"{service}-cursor-key"),
        f"{prefix}_HTTP_PORT": str(embedding.port),
    }
    special = {
        "intake": {
            "INTAKE_SIGNING_KEYS_FILE": str(folder / "intake-signing-keys.json"),
            "INTAKE_BUILT_IN_CLIENTS_FILE": str(folder / "intake-built-in-clients.json"),
        },
        "sessions": {},
        "followup": {
            "FOLLOWUP_CLIENT_KEY_FILE": str(folder / "followup-client-key.json"),
            "FOLLOWUP_LINK_SECRET_FILE": str(folder / "followup-link-secret"),
            "FOLLOWUP_SESSIONS_URL": f"http://127.0.0.1:{embedding.port}",
            **({} if embedding.env == "production" else _without_mail(embedding)),
        },
    }
    return own | special[service]


def _without_mail(embedding: Embedding) -> dict[str, str]:
    """Demos and tests: messages become files, and one that a killed process was sending is taken up again within seconds."""
    return {"FOLLOWUP_OUTBOX_FOLDER": str(embedding.messages), "FOLLOWUP_OUTREACH_LEASE_SECONDS": "3"}


class Origin:
    """One origin for three services, by the first segment of the path and of FHIR by its type, as the gateway in front of containers."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._by_segment = dict(apps) | {"c": apps["followup"], "queue": apps["followup"]}
        self._by_resource = {"Task": apps["followup"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        segment, _, rest = scope["path"].removeprefix("/").partition("/")
        app = self._by_segment.get(segment, self._by_segment["intake"])
        if segment == "fhir":
            app = self._by_resource.get(rest.partition("/")[0], app)
        await app(scope, receive, send)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse from None
        yield


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Settings read the environment; the process's own wins over what the folder gives."""
    added = {name: value for name, value in values.items() if name not in os.environ and f"{name}_FILE" not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
