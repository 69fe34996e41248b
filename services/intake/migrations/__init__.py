"""Intake's own schema history."""
