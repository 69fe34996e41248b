"""The default rules of sending, read from their file."""

from datetime import time, timedelta
from importlib.resources import files

import yaml

from services.followup.outreach.rules import Backoff, OutreachPolicy, QuietHours


def load_policy() -> OutreachPolicy:
    """The project's default policy."""
    document = yaml.safe_load((files(__package__) / "policy.yaml").read_text(encoding="utf-8"))
    quiet, retry = document["quiet_hours"], document["retry"]
    return OutreachPolicy(
        quiet=QuietHours(time.fromisoformat(quiet["from"]), time.fromisoformat(quiet["until"])),
        backoff=Backoff(timedelta(seconds=retry["first_seconds"]), timedelta(seconds=retry["longest_seconds"])),
        failures_at_most=retry["failures"],
        languages=tuple(document["languages"]),
        default_language=document["default_language"],
        links_at_most=document["links_at_most"],
        look_again=timedelta(minutes=document["inactive_clinic"]["look_again_minutes"]),
    )
