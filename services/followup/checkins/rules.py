"""Which answers worry, and by when a person must have dealt with them: values in, values out.

Nothing here approves, closes or lowers anything; a worry is a reason for a person to look.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from services.followup.checkins.forms import DECLINED, Answer, Answers, Form
from services.followup.local_time import business_days_later, on_the_clock


class Level(StrEnum):
    """How worried we are, highest first."""

    STAT = "stat"
    URGENT = "urgent"
    SAME_DAY = "same-day"
    ROUTINE = "routine"


_ORDER = list(Level)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the rule file; without ``item`` it is the rule for risk items that were not answered."""

    rule_id: str
    item: str | None
    equals: str | None
    at_least: int | None
    level: Level
    within: str
    why: str
    source: str

    def holds(self, answer: Answer | None) -> bool:
        """Whether this answer is one to worry about."""
        if isinstance(answer, int) and self.at_least is not None:
            return answer >= self.at_least
        return self.equals is not None and answer == self.equals


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A version of the rules, and which versions of the form it reads."""

    version: int
    form_versions: frozenset[int]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All versions of the rules, the oldest first."""

    versions: tuple[RuleSet, ...]

    def reading(self, form: Form) -> RuleSet:
        """The newest rules for this version of the form. Raises LookupError where nobody wrote any."""
        fitting = [rules for rules in self.versions if form.version in rules.form_versions]
        if not fitting:
            raise LookupError(f"no rules read version {form.version} of {form.code}")
        return fitting[-1]


@dataclass(frozen=True, slots=True)
class Worry:
    """A rule that an answer met: which rule and version, which item, and where the rule comes from."""

    rule_id: str
    rule_version: int
    level: Level
    item: str
    source: str
    within: str
    why: str


@dataclass(frozen=True, slots=True)
class ResponseTime:
    """Elapsed time; or until a local time of the same day, with at least ``elapsed``; or business days."""

    elapsed: timedelta
    until: time | None = None
    business_days: int = 0


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """The clocks that a clinic signs off, by name."""

    opening: time
    times: Mapping[str, ResponseTime]

    def due(self, within: str, since: datetime, zone: ZoneInfo) -> datetime:
        """When something of ``since`` is due by the clock of this name; ``zone`` is the clinic's. UTC in, UTC out."""
        return _due(self.times[within], since, zone, self.opening)


def worries(answers: Answers, form: Form, rules: RuleSet, *, sent: bool = True) -> list[Worry]:
    """All worries in these answers, highest level first.

    ``sent`` is False for answers of a form that was not sent off whole: then what is missing says nothing, what is there counts.
    """
    asked = {item: answer for item, answer in answers.items() if item in form.items or item == HELP_NOW}
    found = [_worry(rule, rules, rule.item) for rule in rules.rules if rule.item is not None and rule.holds(asked.get(rule.item))]
    missed = _missed(asked, form, sent=sent)
    found += [_worry(rule, rules, item) for rule in rules.rules if rule.item is None for item in missed]
    return sorted(found, key=lambda worry: _ORDER.index(worry.level))


HELP_NOW = "help_now"
"""The button "I need help now": part of every page, not an item of a form."""


def highest(levels: Iterable[Level]) -> Level | None:
    """The highest of these levels, or None where there is none."""
    return min(levels, key=_ORDER.index, default=None)


def due_by(found: Sequence[Worry], answered_at: datetime, zone: ZoneInfo, times: ResponseTimes) -> datetime:
    """The earliest moment at which one of these worries must have been dealt with; ``zone`` is the clinic's. UTC in, UTC out."""
    return min(times.due(worry.within, answered_at, zone) for worry in found)


def _worry(rule: Rule, rules: RuleSet, item: str) -> Worry:
    return Worry(rule.rule_id, rules.version, rule.level, item, rule.source, rule.within, rule.why)


def _missed(asked: Answers, form: Form, *, sent: bool) -> list[str]:
    risky = [item.item_id for item in form.items.values() if item.risk]
    return [item for item in risky if asked.get(item) == DECLINED or (sent and item not in asked)]


def _due(response: ResponseTime, answered_at: datetime, zone: ZoneInfo, opening: time) -> datetime:
    local = answered_at.astimezone(zone)
    if response.business_days:
        return business_days_later(local, response.business_days, opening)
    earliest = answered_at + response.elapsed
    return earliest if response.until is None else max(earliest, on_the_clock(local.date(), response.until, zone))
