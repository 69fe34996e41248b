"""The audit trail as it is read: who saw or tried to see a patient. Every service mounts it over its own rows."""

from shared.trail.api import with_trail

__all__ = ["with_trail"]
