"""Clinic-owned numbers of the check-ins, read from their files: when silence becomes work, and by when a worry must be dealt with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from services.followup.checkins.forms import SAFETY_SET, Forms, load_forms, versions_in
from services.followup.checkins.rules import Level, ResponseTime, ResponseTimes, Rule, RuleBook, RuleSet
from services.followup.tasks.rules import Priority


@dataclass(frozen=True, slots=True)
class CheckInPolicy:
    """When an unanswered check-in becomes somebody's work, and how long an answer still counts."""

    call_after_due: Mapping[str, timedelta]
    """Check-in code, or ``other`` -> elapsed time from due to the coordinator's task."""
    call_within: str
    """Name of the response time of that task."""
    never_asked_within: str
    """Name of the response time of the call about what could not be asked at all."""
    never_asked_priority: Priority
    late_answers_for: timedelta
    help_again_after: timedelta
    max_wrong_tries: int
    link_life: timedelta
    session_life: timedelta
    """Real time."""
    sessions_at_most: int
    """Of one link, at a time; the oldest end first."""
    wrong_tries_per_address: int
    """Over all links, before the next try from there has to wait."""

    def call_delay(self, code: str) -> timedelta:
        """How long after its due time an unanswered check-in of this code becomes a call."""
        return self.call_after_due.get(code, self.call_after_due["other"])


@dataclass(frozen=True, slots=True)
class CheckInSetup:
    """Everything that decides how check-ins are asked and read."""

    forms: Forms
    rules: RuleBook
    times: ResponseTimes
    policy: CheckInPolicy


def load_setup(safety_set: Traversable = SAFETY_SET) -> CheckInSetup:
    """The project's defaults. Raises LookupError for a form that no rules read, so that none is sent whose answers nobody judges."""
    setup = CheckInSetup(load_forms(safety_set), load_rules(safety_set), load_response_times(), load_policy())
    for form in setup.forms.known.values():
        setup.rules.reading(form)
    return setup


def load_policy() -> CheckInPolicy:
    """The project's default policy."""
    document = _read("policy.yaml")
    return CheckInPolicy(
        call_after_due={code: timedelta(hours=hours) for code, hours in document["call_hours_after_due"].items()},
        call_within=document["call_within"],
        never_asked_within=document["never_asked"]["within"],
        never_asked_priority=Priority(document["never_asked"]["priority"]),
        late_answers_for=timedelta(hours=document["late_answers_for_hours"]),
        help_again_after=timedelta(minutes=document["help_again_after_minutes"]),
        max_wrong_tries=document["link"]["wrong_birth_dates"],
        link_life=timedelta(days=document["link"]["life_days"]),
        session_life=timedelta(minutes=document["link"]["session_minutes"]),
        sessions_at_most=document["link"]["sessions"],
        wrong_tries_per_address=document["link"]["wrong_birth_dates_per_address"],
    )


def load_rules(safety_set: Traversable = SAFETY_SET) -> RuleBook:
    """The project's default rules for the safety set, every version of them."""
    return RuleBook(tuple(_rules(document) for document in versions_in(safety_set, "rules")))


def load_response_times() -> ResponseTimes:
    """The project's default response times."""
    document = _read("safety_set", "response_times.yaml")
    times = {name: _response_time(entry) for name, entry in document["times"].items()}
    return ResponseTimes(opening=time.fromisoformat(document["opening"]), times=times)


def _rules(document: Mapping[str, Any]) -> RuleSet:  # Any: parsed YAML
    return RuleSet(document["version"], frozenset(document["form_versions"]), tuple(_rule(rule) for rule in document["rules"]))


def _rule(rule: Mapping[str, Any]) -> Rule:  # Any: parsed YAML
    return Rule(
        rule_id=rule["id"],
        item=rule.get("item"),
        equals=rule.get("is"),
        at_least=rule.get("at_least"),
        level=Level(rule["level"]),
        within=rule["within"],
        why=rule["why"],
        source=rule["source"],
    )


def _response_time(entry: Mapping[str, Any]) -> ResponseTime:  # Any: parsed YAML
    return ResponseTime(
        elapsed=timedelta(hours=entry.get("hours", entry.get("at_least_hours", 0)), minutes=entry.get("minutes", 0)),
        until=time.fromisoformat(entry["until"]) if "until" in entry else None,
        business_days=entry.get("business_days", 0),
    )


def _read(*path: str) -> Any:  # Any: parsed YAML
    return yaml.safe_load(files(__package__).joinpath(*path).read_text(encoding="utf-8"))
