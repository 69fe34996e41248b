"""All clinical limits of this service as one thing to hand over."""

from dataclasses import dataclass

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
