"""Reading a protocol from its file. What is wrong is said with its line and a reason, all of it at once, and nothing of it is used."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from services.followup.plans.entries import Entry, ProtocolList
from services.followup.plans.facts import Cause
from services.followup.plans.stored import CoverKind

_LISTS = Path(__file__).with_name("protocols") / "lists"

Way = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML in which ``on`` and ``off`` are words: the language has them as names, and only true and false are meant as such."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


class ProtocolRefused(Exception):
    """The file is not a protocol. ``faults`` are lines with their reasons."""

    def __init__(self, faults: Sequence[tuple[int, str]]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("; ".join(f"line {line}: {reason}" for line, reason in self.faults))


def read_protocol(text: str, forms: Collection[str]) -> ProtocolList:
    """A protocol from the text of its file. Raises ProtocolRefused."""
    try:
        tree = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, with fewer words
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise ProtocolRefused([(line, str(fault.problem))]) from fault
    try:
        protocol = ProtocolList.model_validate(data)
    except ValidationError as fault:
        raise ProtocolRefused([(_line(tree, one["loc"]), one["msg"]) for one in fault.errors()]) from fault
    if faults := [(_line(tree, way), reason) for way, reason in _faults(protocol, forms)]:
        raise ProtocolRefused(faults)
    return protocol


def shipped_text(name: str) -> str:
    """A protocol file that comes with the product, as it stands."""
    return (_LISTS / f"{name}.yaml").read_text(encoding="utf-8")


def shipped_lists(forms: Collection[str]) -> tuple[ProtocolList, ...]:
    """The protocols that come with the product. Raises ProtocolRefused."""
    return tuple(read_protocol(shipped_text(file.stem), forms) for file in sorted(_LISTS.glob("*.yaml")))


def _faults(protocol: ProtocolList, forms: Collection[str]) -> Iterator[tuple[Way, str]]:
    codes = Counter(entry.code for entry in protocol.items)
    for number, entry in enumerate(protocol.items):
        if codes[entry.code] > 1:
            yield ("items", number, "code"), f"code {entry.code} stands twice"
        if entry.form is not None and entry.form not in forms:
            yield ("items", number, "form"), f"no form {entry.form}"
        for way, code in _named(entry):
            if code not in codes:
                yield ("items", number, *way), f"unknown code {code}"
    for kind, needed in _owed(protocol).items():
        cover = protocol.covers.get(kind)
        if cover is None or not needed <= cover.stays_after:
            yield ("covers", kind.value), f"{kind.value} has to stay after {', '.join(sorted(needed))}"


def _owed(protocol: ProtocolList) -> Mapping[CoverKind, frozenset[Cause]]:
    """What each kind of covering work has to outlive: what the items outlive that it may have to cover. Else nobody would own them."""
    called_about = [entry for entry in protocol.items if entry.late == "call" and not entry.counts_from_making]
    outlived = frozenset[Cause]().union(*(entry.stays_after | entry.offered_after for entry in called_about))
    return {kind: frozenset(Cause) if kind is CoverKind.CALLED_OFF else outlived for kind in CoverKind}


def _named(entry: Entry) -> Iterator[tuple[Way, str]]:
    """The codes of other entries that this one names."""
    if entry.gives_way and entry.gives_way.to != "next-infusion":
        yield ("gives_way", "to"), entry.gives_way.to
    for name, condition in (("when", entry.when), ("unless", entry.unless)):
        for code in sorted(condition.stands) if condition else ():
            yield (name, "stands"), code


def _line(node: yaml.Node | None, way: Way) -> int:
    """The line of what lies at the end of this way through the file, as far as the way is there."""
    if node is None:
        return 1
    line = node.start_mark.line + 1
    for part in way:
        key, node = _step(node, part)
        if node is None:
            return line
        line = (key or node).start_mark.line + 1
    return line


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None
