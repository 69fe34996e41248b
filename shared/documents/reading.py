"""A document's text as data, with the line of each part. YAML, of which JSON is a part, without what a reader and a program could
take for two things: no reference, no tag, no name twice, and no word or number that YAML turns into something else.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

MAX_CHARACTERS = 48_000
MAX_LEVELS = 12

Place = tuple[str | int, ...]
"""The names and positions on the way to a part."""


class Finding(NamedTuple):
    """What is wrong, and in which line. It repeats nothing of the text."""

    line: int
    code: str
    reason: str


class Unreadable(Exception):
    """The text is no document."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__(findings[0].code)
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text as data, and in which line each part begins."""

    data: dict[str, object]
    lines: dict[Place, int] = field(default_factory=dict)

    def line_of(self, place: Place) -> int:
        """Of a part, or of the nearest part around one that is missing."""
        return next((self.lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in self.lines), 1)


def parse(text: str) -> Parsed:
    """The text as data. Raises Unreadable."""
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(Finding(1, "too-long", f"A document has at most {MAX_CHARACTERS} characters."))
    spaced = text.replace("\t", " ") if text.lstrip().startswith("{") else text
    try:
        _refuse_references(spaced)
        root = yaml.compose(spaced, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Unreadable(Finding(mark.line + 1 if mark else 1, "not-yaml", "From here on this is neither YAML nor JSON.")) from None
    if not isinstance(root, yaml.MappingNode):
        raise Unreadable(Finding(1, "not-a-document", "A document is a list of names with values."))
    found: list[Finding] = []
    lines: dict[Place, int] = {}
    data = _value(root, (), lines, found)
    if found or not isinstance(data, dict):
        raise Unreadable(*found)
    return Parsed(data, lines)


def _refuse_references(text: str) -> None:
    """Before anything is built: a few references can stand for millions of parts, and deep nesting would end the reader."""
    level = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise Unreadable(Finding(line, "reference", "Write it out: references with & and * are not allowed."))
        if getattr(event, "tag", None) is not None:
            raise Unreadable(Finding(line, "tag", "Leave the tag out: types are not named in a document."))
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > MAX_LEVELS:
            raise Unreadable(Finding(line, "too-deep", f"A document has at most {MAX_LEVELS} levels."))


def _value(node: yaml.Node, place: Place, lines: dict[Place, int], found: list[Finding]) -> object:
    lines.setdefault(place, _line(node))
    if isinstance(node, yaml.MappingNode):
        lines |= {(*place, str(key.value)): _line(key) for key, _ in node.value}
        return {name: _value(value, (*place, name), lines, found) for name, value in _members(node, found)}
    if isinstance(node, yaml.SequenceNode):
        return [_value(value, (*place, number), lines, found) for number, value in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, found)


def _members(node: yaml.MappingNode, found: list[Finding]) -> Iterator[tuple[str, yaml.Node]]:
    seen: set[str] = set()
    for key, value in node.value:
        line = _line(key)
        name = _scalar(key, found) if isinstance(key, yaml.ScalarNode) else None
        if not isinstance(name, str):
            found.append(Finding(line, "name", "A name is a text; put numbers, yes and no in quotes."))
        elif key.tag.endswith(":merge"):
            found.append(Finding(line, "reference", "Write it out: << is not allowed."))
        elif name in seen:
            found.append(Finding(line, "name-twice", "This name stands here a second time."))
        else:
            seen.add(name)
            yield name, value


def _scalar(node: yaml.ScalarNode, found: list[Finding]) -> object:
    text = str(node.value)
    kind = "str" if node.style else node.tag.rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        if text in {"true", "false"}:
            return text == "true"
        found.append(_ambiguous(node, "Write true or false, or put the word in quotes."))
    elif kind in {"int", "float"}:
        if _PLAIN_NUMBER.fullmatch(text):
            return int(text) if kind == "int" else float(text)
        found.append(_ambiguous(node, "Write a plain decimal number, or put it in quotes: 08:00, 0x1F and 1_000 are no numbers here."))
    return text


def _ambiguous(node: yaml.ScalarNode, reason: str) -> Finding:
    return Finding(_line(node), "ambiguous", reason)


def _line(part: yaml.Node | yaml.Event) -> int:
    return part.start_mark.line + 1 if part.start_mark is not None else 1


_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?", re.ASCII)
