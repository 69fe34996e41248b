"""The fixtures of this folder."""

from tests.trust.world import world

__all__ = ["world"]
