"""Courses of infusions: what was planned, by whom, and whether it still runs."""
