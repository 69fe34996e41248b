"""Corrections of what was recorded: amendments as new versions, and records that should never have existed."""
