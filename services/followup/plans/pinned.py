"""Which protocol an anchor is followed by: the one that was pinned when it was first followed, for ever."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from services.followup.plans.entries import ProtocolList
from services.followup.plans.facts import Cause


class Pinned:
    """The protocols of an installation, and the pins of a patient's anchors. What is not known here is followed by the default."""

    def __init__(self, known: Iterable[ProtocolList], pins: Mapping[UUID, tuple[str, int]] | None = None) -> None:
        self._lists = tuple(known)
        self._known = {(one.code, version): one for one in self._lists for version in (*one.stands_for, one.version)}
        self._pins = pins or {}
        self.default = max((one for one in self._lists if one.code == "default"), key=lambda one: one.version)

    def knows(self, asked: tuple[str, int]) -> bool:
        """Whether this version is here, or another one says that it stands for it."""
        return asked in self._known

    def of(self, anchor_id: UUID, asked: tuple[str, int]) -> ProtocolList:
        """The protocol pinned to this anchor, else the one that is asked for, else the newest default."""
        return self._known.get(self._pins.get(anchor_id, asked), self.default)

    def named(self, names: Iterable[tuple[str, int]]) -> list[ProtocolList]:
        """The protocols of these names, the newest default where there are none."""
        return [self._known[name] for name in sorted(set(names) & self._known.keys())] or [self.default]

    def leaving_open(self, kept: Mapping[str, frozenset[Cause]]) -> "Pinned":
        """The same protocols, where tasks of these kinds stay open after other causes than they say."""
        return Pinned((protocol.leaving_open(kept) for protocol in self._lists), self._pins)

    def with_pins(self, pins: Mapping[UUID, tuple[str, int]]) -> "Pinned":
        """The same protocols for another patient's anchors."""
        return Pinned(self._lists, pins)
