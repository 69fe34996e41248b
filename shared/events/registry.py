"""Event types by name and version: how an event class is declared, written to bytes and read back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

MAX_EVENT_BYTES = 256 * 1024
"""Largest value of a record; the topics are created with the same limit."""


class MalformedEvent(Exception):
    """The bytes are not a valid event of their type. ``code`` is stable and carries no content of the event."""

    def __init__(self, code: str = "event-malformed") -> None:
        super().__init__(code)
        self.code = code


class UnknownEvent(Exception):
    """No such event type is known here. ``known_name`` tells a new major version of a known event from a foreign one."""

    def __init__(self, type_name: str, *, known_name: bool) -> None:
        super().__init__("event-version-unknown" if known_name else "event-type-unknown")
        self.type_name = type_name
        self.known_name = known_name


class Event(BaseModel):
    """Base of all events. Writing refuses unknown fields; reading ignores them, so that producers may add some."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    type: ClassVar["EventType"]

    occurred_at: AwareDatetime
    """When the fact became true, in UTC."""

    @property
    def key(self) -> str:
        """The Kafka key: the id of whom the fact is about. Events with one key are delivered in order."""
        return str(getattr(self, self.type.key_field))

    @property
    def subject(self) -> str:
        """CloudEvents subject, as a FHIR-like reference: ``Infusion/<id>``."""
        return f"{self.type.subject_kind}/{getattr(self, self.type.subject_field)}"

    def to_bytes(self) -> bytes:
        """The exact wire bytes. Raises MalformedEvent("event-too-large") beyond 256 KiB."""
        data = self.model_dump_json().encode()
        if len(data) > MAX_EVENT_BYTES:
            raise MalformedEvent("event-too-large")
        return data


E = TypeVar("E", bound=Event)
E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True)
class EventType:
    """Name of an event type: ``<producer>.<noun>.<verb>.v<major>``."""

    producer: str
    name: str
    version: int
    subject_kind: str
    subject_field: str
    key_field: str

    @property
    def full_name(self) -> str:
        return f"{self.producer}.{self.name}.v{self.version}"

    @property
    def topic(self) -> str:
        return f"{self.producer}.events"


@dataclass(frozen=True)
class Delivery(Generic[E_co]):
    """One event as a handler receives it, with the envelope facts that a handler may need."""

    event: E_co
    event_id: UUID
    clinic_id: UUID
    sequence: int
    correlation_id: UUID | None = None
    traceparent: str | None = None
    hops: int = 0
    """How many events it follows from, one after the other."""


class Registry:
    """All known event types. ``read`` and ``topics`` are what the plumbing needs to know of them."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Event]] = {}
        self._names: set[str] = set()

    def add(self, cls: type[Event]) -> None:
        full_name = cls.type.full_name
        if full_name in self._classes:
            raise ValueError(f"event type {full_name} is declared twice")
        self._classes[full_name] = cls
        self._names.add(f"{cls.type.producer}.{cls.type.name}")

    def classes(self) -> list[type[Event]]:
        return sorted(self._classes.values(), key=lambda cls: cls.type.full_name)

    def topics(self) -> list[str]:
        return sorted({cls.type.topic for cls in self._classes.values()})

    def read(self, full_name: str, data: bytes) -> Event:
        """Parse wire bytes. Raises UnknownEvent for a type not declared here, MalformedEvent for bytes that do not fit it."""
        cls = self._classes.get(full_name)
        if cls is None:
            raise UnknownEvent(full_name, known_name=full_name.rpartition(".v")[0] in self._names)
        if len(data) > MAX_EVENT_BYTES:
            raise MalformedEvent("event-too-large")
        try:
            return cls.model_validate_json(data, extra="ignore")
        except ValidationError:
            raise MalformedEvent from None


registry = Registry()


def event(producer: str, name: str, *, subject: tuple[str, str], key: str, version: int = 1) -> Callable[[type[E]], type[E]]:
    """Declare an event class: ``@event("sessions", "infusion.completed", subject=("Infusion", "infusion_id"), key="patient_id")``."""

    def declare(cls: type[E]) -> type[E]:
        cls.type = EventType(producer, name, version, subject[0], subject[1], key)
        registry.add(cls)
        return cls

    return declare
