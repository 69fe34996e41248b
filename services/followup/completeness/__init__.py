"""Completeness: does every ended infusion have its follow-up? Asked of sessions itself, so that an event that never came is found."""
