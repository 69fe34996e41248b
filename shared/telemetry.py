"""Structured logs through an allow-list, metrics, and the trace context that travels through outbox and bus.

A log line can hold only the keys named here; anything else is dropped, not masked, so nothing about a patient can slip in.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

ALLOWED_KEYS = frozenset(
    {
        "attempt", "check_in_id", "client_id", "clinic_id", "code", "consumer", "correlation_id", "count", "duration_ms", "env",
        "error_class", "error_place", "event", "event_id", "event_type", "failures", "infusion_id", "level", "message_id", "method",
        "offset", "operation", "outcome", "parked_id", "partition", "pid", "port", "reason", "request_id", "route", "service",
        "setting", "status", "task_id", "timer_kind", "timestamp", "topic", "trace_id", "version", "worker",
    }
)  # fmt: skip

Fields = MutableMapping[str, Any]  # Any: structlog's own type


@dataclass(frozen=True, slots=True)
class Trace:
    """Where the work at hand comes from."""

    traceparent: str | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    hops: int = 0
    """How many events it follows from, one after the other."""


_trace: ContextVar[Trace] = ContextVar("trace", default=Trace())  # noqa: B039 - Trace is frozen


def current_trace() -> Trace:
    """The trace context of this task."""
    return _trace.get()


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Do the work of the block in this trace context."""
    token = _trace.set(trace)
    try:
        yield
    finally:
        _trace.reset(token)


def child_traceparent(parent: str | None) -> str:
    """A W3C ``traceparent`` for work caused by ``parent``; a new trace where there is none or it is not well formed."""
    parts = (parent or "").split("-")
    known = len(parts) == 4 and len(parts[1]) == 32 and set(parts[1]) <= set("0123456789abcdef") and set(parts[1]) != {"0"}
    return f"00-{parts[1] if known else token_hex(16)}-{token_hex(8)}-01"


def _allow_listed(_logger: object, _method: str, fields: Fields) -> Fields:
    return {key: value for key, value in fields.items() if key in ALLOWED_KEYS}


def _trace_added(_logger: object, _method: str, fields: Fields) -> Fields:
    trace = _trace.get()
    if trace.traceparent:
        fields.setdefault("trace_id", trace.traceparent.split("-")[1])
    return fields


def configure_logs(*, level: str = "INFO") -> None:
    """JSON lines on standard error. Other libraries' records keep their level and logger name only, never their message."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _trace_added,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _allow_listed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_ForeignRecords()], level=logging.WARNING, force=True)


class _ForeignRecords(logging.Handler):
    """Messages of libraries may quote values (a URL, a row), so only where and how bad is kept."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        place = f"{record.name}:{record.funcName}:{record.lineno}"
        structlog.get_logger().log(record.levelno, "library.message", error_place=place, error_class=error)


def logger(worker: str, **bound: object) -> Any:  # Any: structlog's lazy proxy has no useful static type
    """A logger with its worker's name bound."""
    return structlog.get_logger().bind(worker=worker, **bound)


def place_of(error: BaseException) -> str:
    """File, function and line where an error was raised; never its text, which may quote values."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "unknown"
    code = traceback.tb_frame.f_code
    return f"{code.co_filename.rpartition('/')[2]}:{code.co_name}:{traceback.tb_lineno}"


class Metrics:
    """One service's metrics, in a registry of its own so that three services can share a process."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self.requests = self.counter("afterglow_http_requests_total", "Answered requests", ("operation", "status"))
        self.request_seconds = Histogram("afterglow_http_request_seconds", "Time to answer", ("operation",), registry=self.registry)
        self.relayed = self.counter("afterglow_outbox_relayed_total", "Events taken by the bus")
        self.relay_failures = self.counter("afterglow_outbox_failures_total", "Partitions that failed to take a batch")
        self.relay_leading = self.gauge("afterglow_relay_leading", "1 in the process whose relay moves events to the bus")
        self.handled = self.counter("afterglow_inbox_handled_total", "Events handled", ("event_type",))
        self.duplicates = self.counter("afterglow_inbox_duplicates_total", "Events that had been handled before")
        self.ignored = self.counter("afterglow_inbox_ignored_total", "Events of unknown types")
        self.parked = self.counter("afterglow_parked_total", "Records parked", ("reason",))
        self.fenced = self.counter("afterglow_consumer_fenced_total", "Transactions given up since another process had moved the offset")
        self.consumer_alarms = self.counter("afterglow_consumer_alarms_total", "Partitions that a person must look at", ("reason",))
        self.timers_fired = self.counter("afterglow_timers_fired_total", "Timers that fired", ("timer_kind",))
        self.worker_failures = self.counter("afterglow_worker_failures_total", "Rounds of a worker that failed", ("worker",))

    def gauge(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)

    def pool(self, size: int, in_use: Callable[[], int]) -> None:
        """Show how many of ``size`` database connections are in use, as of the moment of asking."""
        self.gauge("afterglow_database_connections_limit", "Database connections that this process may have").set(size)
        self.gauge("afterglow_database_connections_in_use", "Database connections in use").set_function(in_use)

    def snapshot(self, name: str, help_text: str, labels: tuple[str, ...]) -> "Snapshot":
        """A gauge whose samples are replaced all together."""
        snapshot = Snapshot(name, help_text, labels)
        self.registry.register(snapshot)
        return snapshot

    def counter(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)


class Snapshot(Collector):
    """A gauge whose samples come from one look: what is gone since the last look has no sample any more."""

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._help_text = help_text
        self._labels = labels
        self._samples: Mapping[tuple[str, ...], float] = {}

    def replace(self, samples: Mapping[tuple[str, ...], float]) -> None:
        """Show these values, by label values, and no others."""
        self._samples = samples

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._help_text, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._help_text, labels=self._labels)
        for labels, value in self._samples.items():
            family.add_metric(labels, float(value))
        yield family
