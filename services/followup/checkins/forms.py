"""Forms as values: items with their answers, and the safety set as it is read from its file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from math import ceil
from typing import Any

import yaml

SAFETY_SET = files(__package__) / "safety_set"
"""The forms and rules that ship with the product."""

Answer = str | int
"""``yes``, ``no``, a number, or DECLINED."""
Answers = Mapping[str, Answer]
"""Item id -> answer; an item that is left out was not answered."""

DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Option:
    """One possible answer."""

    value: Answer
    label: str


@dataclass(frozen=True, slots=True)
class Item:
    """One question. ``risk`` items ask about safety; ``low`` and ``high`` name the ends of a scale."""

    item_id: str
    kind: str
    label: str
    options: tuple[Option, ...]
    risk: bool = False
    hint: str = ""
    low: str = ""
    high: str = ""
    short: str = ""
    """What the question is about, in a few words, where a list names it."""

    def read(self, text: str) -> Answer | None:
        """The answer that a form field's text stands for, or None where it is none of this item's options."""
        return next((option.value for option in self.options if str(option.value) == text), None)


@dataclass(frozen=True, slots=True)
class Section:
    """Questions that are asked together."""

    section_id: str
    title: str
    intro: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Form:
    """What a patient is asked: a version of it never changes, because answers name it."""

    code: str
    version: int
    language: str
    sections: tuple[Section, ...]

    @cached_property
    def items(self) -> Mapping[str, Item]:
        """All items by id, in the order of the form."""
        return {item.item_id: item for section in self.sections for item in section.items}

    @property
    def declining(self) -> str:
        """What is chosen by who does not want to answer a question."""
        return next(option.label for item in self.items.values() for option in item.options if option.value == DECLINED)

    @property
    def minutes(self) -> int:
        """How long it takes who reads all of it slowly and thinks of every choice, rounded up."""
        texts = [text for section in self.sections for text in (section.title, section.intro)]
        for item in self.items.values():
            texts += [item.label, item.hint, *(option.label for option in item.options)]
        seconds = 60 * len(" ".join(texts).split()) / _WORDS_A_MINUTE + _SECONDS_A_CHOICE * len(self.items)
        return ceil(seconds / 60)


_WORDS_A_MINUTE = 200
"""Adults read 238 words of English a minute in silence (Brysbaert 2019, doi 10.1016/j.jml.2019.104047); less for who is tired or unwell."""
_SECONDS_A_CHOICE = 5
"""Our assumption; no source fixes it."""


@dataclass(frozen=True)
class Forms:
    """All forms that this installation can send."""

    of_check_in: Mapping[str, Form]
    """Check-in code -> the form to send now."""
    known: Mapping[tuple[str, int], Form]
    """(form code, version) -> form, also those that are no longer sent."""

    def sent_with(self, form_code: str, form_version: int) -> Form:
        """The form that a check-in was opened with. Raises KeyError when this installation never had it."""
        return self.known[form_code, form_version]


def load_forms(folder: Traversable = SAFETY_SET) -> Forms:
    """Every version of the safety set in ``folder``: the newest is sent, after an infusion and weekly; the others are still read."""
    of_check_in: dict[str, Form] = {}
    known: dict[tuple[str, int], Form] = {}
    for document in versions_in(folder, "form"):
        for code, variant in document["variants"].items():
            form = _form(document, code, variant)
            known[form.code, form.version] = form
            of_check_in |= dict.fromkeys(variant["check_ins"], form)
    return Forms(of_check_in, known)


def versions_in(folder: Traversable, what: str) -> list[Any]:  # Any: parsed YAML
    """The files ``<what>-v<number>.yaml``, oldest version first."""
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.startswith(f"{what}-v")]
    return sorted(map(yaml.safe_load, texts), key=lambda document: int(document["version"]))


def _form(document: Mapping[str, Any], code: str, variant: Mapping[str, Any]) -> Form:  # Any: parsed YAML
    sections = tuple(_section(document, section_id, variant["since"]) for section_id in variant["sections"])
    return Form(code, document["version"], document["language"], sections)


def _section(document: Mapping[str, Any], section_id: str, since: str) -> Section:  # Any: parsed YAML
    section = document["sections"][section_id]
    items = tuple(_item(document, item) for item in section["items"])
    return Section(section_id, section["title"], section.get("intro", "").format(since=since), items)


def _item(document: Mapping[str, Any], item: Mapping[str, Any]) -> Item:  # Any: parsed YAML
    listed = document["kinds"][item["kind"]]
    options = [Option(o["value"], o["label"]) if isinstance(o, dict) else Option(o, str(o)) for o in listed]
    return Item(
        item_id=item["id"],
        kind=item["kind"],
        label=item["label"],
        options=(*options, Option(DECLINED, document["declined"])),
        risk=item.get("risk", False),
        hint=item.get("hint", ""),
        low=item.get("low", ""),
        high=item.get("high", ""),
        short=item.get("short", ""),
    )
