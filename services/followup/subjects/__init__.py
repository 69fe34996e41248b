"""Whom follow-up is about, as far as events have said: projections of the other services' facts, and nothing else."""
