"""Whom an infusion is about, as far as events have said: projections of intake's facts, and nothing else."""
