"""All clinical limits of this service as one thing to hand over, and how they reach the endpoints of one app."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.sessions.infusions.limits import InfusionLimits, shipped_infusion_limits
from services.sessions.vitals.limits import VitalLimits, shipped_vital_limits


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rules of both slices are judged by."""

    infusions: InfusionLimits
    vitals: VitalLimits


def shipped_limits() -> Limits:
    """The limits that come with the product; a clinic signs them off or has its own."""
    return Limits(shipped_infusion_limits(), shipped_vital_limits())


def lending(limits: Limits) -> Callable[[Request], Awaitable[None]]:
    """A dependency for the router above all endpoints: every request carries the limits of the app that answers it."""

    async def lend(request: Request) -> None:
        request.state.limits = limits

    return lend


async def _lent(request: Request) -> Limits:
    limits: Limits = request.state.limits
    return limits


LimitsInUse = Annotated[Limits, Depends(_lent)]
"""Parameter of an endpoint whose use case needs limits."""
