"""Vital signs, saved reading by reading. A charting aid and no monitor: nothing here raises an alarm in time to act on."""
