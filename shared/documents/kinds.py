"""A kind of document: its code, the form of its content, and the default that the release ships."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar, cast

from shared.documents.content import Document
from shared.documents.reading import parse

D = TypeVar("D", bound=Document)
D_co = TypeVar("D_co", bound=Document, covariant=True)

FIRST_OF_A_CLINIC = 1001
"""A clinic counts its own versions from here, so that no number ever means one of theirs and one of ours."""


@dataclass(frozen=True)
class Kind(Generic[D_co]):
    """What a service knows of one kind of document before it has asked any clinic."""

    code: str
    model: type[D_co]
    file: Path
    """Of the default."""

    @property
    def default(self) -> D_co:
        """The release's own. Raises pydantic's ValidationError for a file that is not complete, which is a mistake of ours."""
        return cast(D_co, _default(self))

    @property
    def default_text(self) -> str:
        """The default as it is written."""
        return self.file.read_text(encoding="utf-8")

    def read(self, text: str, version: int) -> D_co:
        """A clinic's version of it. Raises Unreadable, or pydantic's ValidationError."""
        return self.model.model_validate({**parse(text).data, "code": self.code, "version": version})


@cache
def _default(kind: Kind[Document]) -> Document:
    default = kind.model.model_validate(parse(kind.default_text).data)
    if default.code != kind.code or default.version >= FIRST_OF_A_CLINIC:
        raise ValueError(f"{kind.file} is not the default of {kind.code}")
    return default
