"""What people read of a task: a code and its facts become sentences for the reader who asks. The words stand in ``texts``.

A text never fails for a fact: a sentence whose facts are not there is left out, and a code that is not listed reads as ``other``.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from string import Formatter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict

from services.followup.tasks.models import CareTask, TaskHistory
from services.followup.tasks.policy import KindPolicy, TaskPolicy
from services.followup.tasks.rules import OPEN, BusinessStatus, Unassigned, unassigned_because
from shared.events.zones import zone_of

_DAY = timedelta(days=1)
_OTHER = "other"
"""What is not listed, as what a later release writes while two run."""


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ByReader(_Data):
    """A sentence that tells of answers, and what others read in its place; only ``where`` a fact is there, or ``unless`` it is."""

    clinical: str
    others: str | None = None
    where: str | None = None
    unless: str | None = None

    def fits(self, facts: Mapping[str, object]) -> bool:
        """Whether it is told of these facts."""
        return (self.where is None or self.where in facts) and self.unless not in facts


Sentences = tuple[str | ByReader, ...]


class ReasonText(_Data):
    """What happened, and what to do about it. A title of its own replaces that of the kind."""

    title: str | None = None
    happened: Sentences
    do: Sentences


class KindText(ReasonText):
    """What is said of a kind of task where its reason says no more."""

    title: str


class Texts(_Data):
    """``texts/<language>.yaml``."""

    version: int
    language: str
    reasons: Mapping[str, ReasonText]
    kinds: Mapping[str, KindText]
    who_may: Mapping[str, str]
    unassigned: Mapping[str, Sentences]
    due: Mapping[str, str]
    moment: Mapping[str, str]
    weekdays: Sequence[str]
    months: Sequence[str]
    several: str
    joined: str
    listed: Sequence[str]
    history: Mapping[str, Sequence[str]]
    names: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Zones:
    """Where these patients live, as far as it is known, and where the clinic is."""

    of_patient: Mapping[UUID, ZoneInfo]
    clinic: ZoneInfo


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, when, and on whose clock times are told: the patient's, or the clinic's as long as the patient's is not known."""

    clinical: bool
    now: datetime
    zone: ZoneInfo
    patients_zone: bool = True


@dataclass(frozen=True, slots=True)
class Telling:
    """Tells one reader of tasks."""

    texts: Texts
    policy: TaskPolicy
    zones: Zones
    now: datetime
    clinical: bool
    takeable: Collection[str] = ()
    """The kinds of tasks that somebody who works here may do."""
    suggested: Mapping[UUID, UUID] = field(default_factory=dict)
    """Who is suggested for an open task."""

    def of_task(self, task: CareTask) -> "Wording":
        """What the task says to this reader."""
        return wording_of(task, self._reading(task), self.texts, self.policy)

    def of_change(self, change: TaskHistory, task: CareTask) -> str:
        """One line of the task's history."""
        return history_line(change, self._reading(task), self.texts)

    def unassigned(self, task: CareTask) -> tuple[Unassigned | None, str | None]:
        """Why nobody has an open task, as a code; and in words, with what to do about it."""
        if not task.unassigned:
            return None, None
        because, kind = unassigned_because(task.kind, task.released_because, self.takeable), self.policy.kinds.get(task.kind)
        if kind is None:
            return because, self.texts.who_may["unknown"]
        facts = {"roles": sorted(kind.roles), **({} if task.held_until is None else {"held_until": task.held_until.isoformat()})}
        return because, _Told(self.texts, self._reading(task)).all_of(self.texts.unassigned[because], facts)

    def _reading(self, task: CareTask) -> Reader:
        known = self.zones.of_patient.get(task.patient_id) or zone_told(task.because.facts.get("zone"))
        return Reader(self.clinical, self.now, known or self.zones.clinic, patients_zone=known is not None)


@dataclass(frozen=True, slots=True)
class Wording:
    """What one task says to one reader."""

    title: str
    why: str
    to_do: str
    who_may: str
    level: str
    due: str
    lists: tuple[str, ...]


def shipped_texts(language: str = "en") -> Texts:
    """The texts that come with the product. Raises pydantic's ValidationError for a file that is not complete."""
    path = files(__package__) / "texts" / f"{language}.yaml"
    return Texts.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def wording_of(task: CareTask, reader: Reader, texts: Texts, policy: TaskPolicy) -> Wording:
    """The task as this reader is told of it."""
    told, kind = _Told(texts, reader), texts.kinds.get(task.kind) or texts.kinds[_OTHER]
    facts = {**task.because.facts, **_columns(task)}
    text = texts.reasons.get(task.because.code, kind)
    return Wording(
        title=told.first([text.title or kind.title, kind.title], facts),
        why=told.all_of(text.happened, facts) or told.all_of(kind.happened, facts),
        to_do=told.all_of(text.do, facts) or told.all_of(kind.do, facts),
        who_may=_who_may(policy.kinds.get(task.kind), policy, told),
        level=told.name("levels", task.priority),
        due=_due(task, told),
        lists=tuple(told.listed(task.details)),
    )


def history_line(change: TaskHistory, reader: Reader, texts: Texts) -> str:
    """One line of a task's history."""
    return _Told(texts, reader).first(texts.history.get(change.action) or texts.history[_OTHER], change.details)


def zone_told(name: object) -> ZoneInfo | None:
    """The zone that a fact names."""
    return zone_of(name) if isinstance(name, str) else None


def _columns(task: CareTask) -> dict[str, object]:
    return {
        "level": task.priority,
        **{name: at.isoformat() for name in ("window_starts_at", "due_at", "expires_at") if (at := getattr(task, name)) is not None},
    }


def _who_may(kind: KindPolicy | None, policy: TaskPolicy, told: "_Told") -> str:
    if kind is None:
        return told.texts.who_may["unknown"]
    everybody = frozenset[str]().union(*(one.roles for one in policy.kinds.values()))
    roles = [role for role in told.texts.names["roles"] if role in kind.roles]
    return told.first([told.texts.who_may["anybody" if kind.roles >= everybody else "some"]], {"roles": roles})


def _due(task: CareTask, told: "_Told") -> str:
    now, texts = told.reader.now, told.texts.due
    if task.status in OPEN and task.business_status is not BusinessStatus.OFFERED:
        if now > task.due_at:
            return told.first([texts["overdue"]], {"span": told.span(now - task.due_at)})
        if task.due_at - now < _DAY:
            span = told.span(task.due_at - now)
            return told.first([texts["ahead"]], {"span": span}) if task.due_at - now >= timedelta(minutes=1) else texts["now"]
    return told.first([texts["later"]], {"date": told.moment(task.due_at)})


class _Told(Formatter):
    """Fills texts for one reader. ``{x:time}`` is a moment, ``{x:section}`` a name, ``{x:section|capital}`` begins a sentence."""

    def __init__(self, texts: Texts, reader: Reader) -> None:
        self.texts, self.reader = texts, reader

    def all_of(self, sentences: Sentences, facts: Mapping[str, object]) -> str:
        """The sentences for this reader whose facts are there."""
        return " ".join(filter(None, (self._filled(sentence, facts) for sentence in self._for_reader(sentences, facts))))

    def first(self, texts: Sequence[str], facts: Mapping[str, object]) -> str:
        """The first of these whose facts are there, or nothing."""
        return next(filter(None, (self._filled(text, facts) for text in texts)), "")

    def name(self, section: str, code: str) -> str:
        return self.texts.names[section].get(code) or self.texts.names[section]["other"]

    def moment(self, at: datetime, *, day: bool = False) -> str:
        """A moment on the patient's clock; with its ``day`` even where that is today."""
        local, today = at.astimezone(self.reader.zone), self.reader.now.astimezone(self.reader.zone)
        how = "same_day" if local.date() == today.date() and not day else "other_day" if local.year == today.year else "other_year"
        return self.texts.moment[how].format(
            time=f"{local:%H:%M}",
            weekday=self.texts.weekdays[local.weekday()],
            day=local.day,
            month=self.texts.months[local.month - 1],
            year=local.year,
            whose=self.texts.moment["theirs" if self.reader.patients_zone else "clinics"],
        )

    def span(self, of: timedelta) -> str:
        """How long, in words: to the minute up to a day, then in whole days."""
        if of >= _DAY:
            return self.texts.due["day" if of.days == 1 else "days"].format(days=of.days)
        hours, minutes = divmod(int(of.total_seconds()) // 60, 60)
        how = "minutes" if not hours else "hours_and_minutes" if minutes else "hours"
        return self.texts.due[how].format(hours=hours, minutes=minutes)

    def listed(self, details: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON of our own making
        """What a task lists, a line each."""
        for item in details.get("items", ()):
            words = {"name": self.name("work", item["code"]), "cause": self.name("causes", item["reason"] or "")}
            yield self.first(self.texts.listed, {**item, **words})

    def format_field(self, value: object, format_spec: str) -> str:
        how, _, capital = format_spec.partition("|")
        if not how:
            return str(value)
        at_a_time = how in ("time", "day")
        filled = self.moment(datetime.fromisoformat(str(value)), day=how == "day") if at_a_time else self._named(how, value)
        return filled[:1].upper() + filled[1:] if capital else filled

    def _named(self, section: str, value: object) -> str:
        counted = Counter(self.name(section, code) for code in ([value] if isinstance(value, str) else value or ()))  # type: ignore[attr-defined]  # a list of codes
        names = [name if number == 1 else self.texts.several.format(name=name, number=number) for name, number in counted.items()]
        if not names:
            raise KeyError(section)
        return self.texts.joined.format(first=", ".join(names[:-1]), last=names[-1]) if names[1:] else names[0]

    def _for_reader(self, sentences: Sentences, facts: Mapping[str, object]) -> Iterator[str]:
        for sentence in sentences:
            if isinstance(sentence, ByReader):
                if sentence.fits(facts):
                    yield sentence.clinical if self.reader.clinical else sentence.others or ""
            else:
                yield sentence

    def _filled(self, text: str, facts: Mapping[str, object]) -> str:
        try:
            return self.vformat(text, (), facts)
        except (KeyError, TypeError, ValueError):
            return ""
