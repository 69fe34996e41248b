"""Who does what with documents; each service says so in its own words."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DocumentRoles:
    """By role."""

    read: Collection[str]
    write: Collection[str]
    sign: Collection[str]
