"""Running one service alone, over Kafka: check the configuration, the schema and the topics, then serve."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import text

from shared import migrations, telemetry
from shared.bus import Bus, BusUnavailable
from shared.clock import AcceleratedClock, Clock, SystemClock
from shared.events import registry
from shared.kafka import KafkaBus, KafkaSettings, WrongTopics, verify_topics
from shared.listeners import EXIT_IN_USE, Listeners, PortTaken, bound
from shared.pausing import pause
from shared.serve import serve
from shared.service import Service
from shared.settings import EXIT_UNSAFE, ServiceSettings, UnsafeSettings
from shared.web import application

_WAIT_SECONDS = 2.0

S = TypeVar("S", bound=ServiceSettings)


def run_alone(name: str, settings_type: type[S], build: Callable[[S, Bus, Clock], Service]) -> int:
    """Run the service called ``name`` until SIGTERM; returns the exit code, 78 when its configuration is refused."""
    try:
        settings = settings_type.read()
        settings.refuse_unsafe()
    except (UnsafeSettings, OSError) as unsafe:
        return _refused(f"{name}: {unsafe}")
    telemetry.configure_logs(level=settings.log_level)
    try:
        with bound(settings.http_host, settings.http_port, settings.ops_host, settings.ops_port) as listeners:
            return asyncio.run(_run(name, settings, build, listeners))
    except PortTaken as taken:
        prefix = name.upper()
        print(f"{name}: {taken}. {prefix}_HTTP_PORT and {prefix}_OPS_PORT name others.", file=sys.stderr)
        return EXIT_IN_USE
    except (WrongTopics, UnsafeSettings) as wrong:
        return _refused(f"{name}: {wrong}")


def _refused(why: str) -> int:
    print(f"Refused to start. {why}", file=sys.stderr)
    return EXIT_UNSAFE


async def _run(name: str, settings: S, build: Callable[[S, Bus, Clock], Service], listeners: Listeners) -> int:
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap,
        client_id=name,
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        instance_id=settings.kafka_instance_id,
        session_timeout_ms=settings.kafka_session_timeout_ms,
    )
    if not kafka.bootstrap:
        raise UnsafeSettings("AFTERGLOW_KAFKA_BOOTSTRAP", "a service that runs alone needs Kafka; `python -m services` needs none")
    bus = KafkaBus(kafka)
    clock = AcceleratedClock.parse(settings.clock) if settings.clock else SystemClock()
    service = build(settings, bus, clock)
    await _until_migrated(service)
    await _verify_topics(service, kafka)
    try:
        app = application(service)
        return await serve(app, [app], [service], listeners)
    finally:
        await bus.close()


async def _until_migrated(service: Service) -> None:
    """Wait for the database and its newest schema; the deployment migrates, a service never does."""
    log = telemetry.logger("start", service=service.name)
    while True:
        try:
            async with service.database.engine.connect() as connection:
                missing = await connection.run_sync(migrations.pending, service.name)
                role = (await connection.execute(_ROLE)).one()
        except Exception as error:  # noqa: BLE001 - whatever it is, the database is not there yet
            log.warning("start.database_away", error_class=type(error).__name__)
        else:
            if role.unsafe and service.settings.env == "production":
                raise UnsafeSettings(f"{service.name.upper()}_DATABASE_URL", "the service's role must be neither superuser nor BYPASSRLS")
            if not missing:
                return
            log.warning("start.migrations_pending", count=len(missing))
        await asyncio.sleep(_WAIT_SECONDS)


async def _verify_topics(service: Service, kafka: KafkaSettings) -> None:
    """Wrong topics stop the start. Without Kafka the service starts all the same, since it accepts work; then they are verified later."""
    own = f"{service.name}.events"
    wanted = sorted({own, *(service.inbox.topics if service.inbox else ())} & set(registry.topics()))
    verify = partial(verify_topics, kafka, wanted)
    try:
        await verify()
    except BusUnavailable as away:
        telemetry.logger("start", service=service.name).warning("start.kafka_away", error_class=type(away).__name__)
        service.workers = {**service.workers, "topics": partial(verify_once_there, verify, service.name)}


async def verify_once_there(
    verify: Callable[[], Awaitable[None]], service: str, stop: asyncio.Event, *, every_seconds: float = _WAIT_SECONDS
) -> None:
    """A worker that verifies the topics as soon as Kafka is there. Raises WrongTopics: the process ends, and its next start is refused."""
    log = telemetry.logger("start", service=service)
    while not stop.is_set():
        try:
            await verify()
        except BusUnavailable:
            await pause(stop, every_seconds)
        except WrongTopics as wrong:
            log.critical("start.wrong_topics", reason=str(wrong))
            raise
        else:
            log.info("start.topics_verified")
            await stop.wait()


_ROLE = text("SELECT rolsuper OR rolbypassrls AS unsafe FROM pg_roles WHERE rolname = current_user")
