from tests.followup.checkins.world import emptied, world

__all__ = ["emptied", "world"]
