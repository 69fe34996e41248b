"""The published language: every event type that services exchange, and nothing else that they share.

One module per producing service. An event carries ids, codes, times, flags and zones that a consumer needs to act without
asking back; never a name, contact detail, free text, answer, score, dose or vital sign.
"""

from shared.events.registry import Delivery, Event, EventType, MalformedEvent, Registry, UnknownEvent, registry

from . import followup, intake, sessions

__all__ = ["Delivery", "Event", "EventType", "MalformedEvent", "Registry", "UnknownEvent", "followup", "intake", "registry", "sessions"]
