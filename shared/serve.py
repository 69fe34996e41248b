"""Running services in a process: the public listener, the private one for health and metrics, signals, and the way out."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager

import uvicorn
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from shared import telemetry
from shared.connections import ACCEPTED_AT_ONCE, BoundedConnection
from shared.listeners import Listeners
from shared.service import Service

EXIT_BROKEN = 70
"""Exit code when a loop of a service ended by itself (EX_SOFTWARE); the supervisor starts the process afresh."""

_GRACE_SECONDS = 8
_WATCHDOG_SECONDS = 28.0


def ops_application(services: Sequence[Service]) -> Starlette:
    """``/livez``, ``/readyz`` and ``/metrics`` for everything that runs in this process; served on a port that is never published."""

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_request: Request) -> Response:
        reasons = {service.name: await service.ready() for service in services}
        # The process: whoever started one knows by it that it is not another that answers.
        return JSONResponse({"services": reasons, "process": os.getpid()}, status_code=503 if any(reasons.values()) else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(_Together(services)), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


async def serve(
    front: ASGIApp,
    apps: Sequence[FastAPI],
    services: Sequence[Service],
    listeners: Listeners,
    *,
    listening_at: Callable[[str], None] = lambda _url: None,
) -> int:
    """Run until SIGTERM or SIGINT, or until a service breaks; returns the exit code.

    ``front`` answers the requests, ``apps`` have the lifespans; ``listening_at`` is told the address once it listens.
    """
    log = telemetry.logger("serve", service="+".join(service.name for service in services))
    public, private = server_of(front), server_of(ops_application(services))
    asked_to_stop = _on_signals()
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
        served = zip((public, private), listeners, strict=True)
        listening = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in served]
        waiting = [asyncio.create_task(event.wait()) for event in (asked_to_stop, *(service.broken for service in services))]
        log.info("serve.listening", port=listeners.port)
        listening_at(listeners.url)
        await asyncio.wait([*listening, *waiting], return_when=asyncio.FIRST_COMPLETED)
        _watchdog()
        for service in services:
            service.stopping = True
        public.should_exit = private.should_exit = True
        await asyncio.wait(listening)
        for task in waiting:
            task.cancel()
    log.info("serve.stopped")
    failed = any(task.exception() for task in listening) or any(service.broken.is_set() for service in services)
    return EXIT_BROKEN if failed else 0


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to us: two of them run in one process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(app: ASGIApp) -> uvicorn.Server:
    """What answers on one port."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=BoundedConnection,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=20,
        backlog=ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ws="none",
    )
    return _Quiet(config)


def _on_signals() -> asyncio.Event:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    return asked


def _watchdog() -> None:
    """Whatever hangs on the way out, the process ends before an orchestrator would kill it; nothing depends on a clean stop."""
    timer = threading.Timer(_WATCHDOG_SECONDS, os._exit, args=(0,))
    timer.daemon = True
    timer.start()


class _Together(CollectorRegistry):
    """The metrics of all services of this process, each sample with its service's name."""

    def __init__(self, services: Sequence[Service]) -> None:
        super().__init__(auto_describe=False)
        self._services = services

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for service in self._services:
            for family in service.metrics.registry.collect():
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    labels = {**sample.labels, "service": service.name}
                    merged.add_sample(sample.name, labels, sample.value, sample.timestamp, sample.exemplar)
        yield from families.values()
