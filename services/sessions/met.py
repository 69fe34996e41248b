"""A clinical rule that was met: its code, and where its limit comes from. What a refusal names, whichever slice found it."""

from typing import NamedTuple


class Met(NamedTuple):
    """One rule that was met."""

    rule: str
    source: str
