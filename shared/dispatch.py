"""Handing deliveries to handlers: clinic by clinic, in batches of one type that never overtake an earlier event of their key."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from shared import telemetry
from shared.db import enter_clinic
from shared.events.registry import Delivery, Event

Handler = Callable[[AsyncSession, Sequence[Delivery[Any]]], Awaitable[None]]  # Any: a handler takes deliveries of its own event class


def each(one: Callable[[AsyncSession, Delivery[Any]], Awaitable[None]]) -> Handler:  # Any: as above
    """A handler for events that are rare: takes them one by one."""

    async def handle(db: AsyncSession, deliveries: Sequence[Delivery[Any]]) -> None:
        for delivery in deliveries:
            await one(db, delivery)

    return handle


async def dispatch(db: AsyncSession, handlers: Mapping[type[Event], Handler], deliveries: Sequence[Delivery[Event]]) -> None:
    """Run the handlers. What they added is written before another clinic is entered, whose policy would refuse it."""
    for clinic_id, own in _by_clinic(deliveries).items():
        await enter_clinic(db, clinic_id)
        for wave in waves(own):
            with telemetry.tracing(_trace_of(wave)):
                await handlers[type(wave[0].event)](db, wave)
        await db.flush()


def waves(deliveries: Sequence[Delivery[Event]]) -> Iterable[list[Delivery[Event]]]:
    """Batches of one event type each; an event never comes before an earlier one of its key."""
    remaining = list(deliveries)
    while remaining:
        kind = type(remaining[0].event)
        wave: list[Delivery[Event]] = []
        rest: list[Delivery[Event]] = []
        waiting: set[str] = set()
        for delivery in remaining:
            key = delivery.event.key
            if type(delivery.event) is kind and key not in waiting:
                wave.append(delivery)
            else:
                waiting.add(key)
                rest.append(delivery)
        yield wave
        remaining = rest


def _by_clinic(deliveries: Iterable[Delivery[Event]]) -> dict[UUID, list[Delivery[Event]]]:
    grouped: dict[UUID, list[Delivery[Event]]] = {}
    for delivery in deliveries:
        grouped.setdefault(delivery.clinic_id, []).append(delivery)
    return grouped


def _trace_of(wave: Sequence[Delivery[Event]]) -> telemetry.Trace:
    """A batch continues the trace of its first event, and has as many causes behind it as any of its events."""
    delivery = wave[0]
    trace = telemetry.child_traceparent(delivery.traceparent)
    return telemetry.Trace(trace, delivery.correlation_id, delivery.event_id, max(one.hops for one in wave) + 1)
