"""Bodies and answers about clinical documents. None of them is about a patient."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from shared.documents.content import Document
from shared.documents.kinds import Kind
from shared.documents.models import Activation, Version
from shared.documents.reading import MAX_CHARACTERS
from shared.web.schemas import Answer, Body, Moment, Text

Code = Annotated[str, Text(64)]
Standing = Literal["unsigned-default", "unsigned", "signed"]
"""An unsigned default counts as long as a clinic has signed nothing else; another unsigned version never counts."""


class WriteVersion(Body):
    """The whole text of a document, in YAML or JSON. A dry run says what is wrong with it and saves nothing."""

    code: Code
    content: Annotated[str, Text(MAX_CHARACTERS, lines=True)]
    dry_run: bool = False


class SignOff(Body):
    """From when the version counts; without a time from now on."""

    active_from: Moment | None = None


class Activate(Body):
    """From when the version counts; without a time from now on."""

    active_from: Moment | None = None


class ActivationOut(Answer):
    """From when a version counts, as somebody said it when."""

    version: int
    active_from: datetime
    activated_by: str
    activated_at: datetime


class VersionOut(Answer):
    """One version without its text. The actor of a default is the release."""

    code: str
    version: int
    default: bool
    standing: Standing
    written_by: str
    written_at: datetime
    signed_by: str | None
    signed_at: datetime | None

    @classmethod
    def of(cls, version: Version) -> "VersionOut":
        return cls.model_validate(_described(version))


class VersionDetail(VersionOut):
    """One version with its text, and from when it counts, as it was said in turn."""

    content: str
    activations: list[ActivationOut]

    @classmethod
    def with_activations(cls, version: Version, found: Sequence[Activation]) -> "VersionDetail":
        shown = [ActivationOut.model_validate(one) for one in found]
        return cls.model_validate({**_described(version), "content": version.content, "activations": shown})


class DocumentOut(Answer):
    """Which version of a document counts now, and what is to follow it."""

    code: str
    title: str
    version: int
    default: bool
    standing: Standing
    active_from: datetime | None
    """Null for a default that nobody has signed: it has always counted."""
    newest_default: int
    """The version that this release ships."""
    next: list[ActivationOut]

    @classmethod
    def of(cls, kind: Kind[Document], document: Document, found: Sequence[Activation], now: datetime) -> "DocumentOut":
        begun = max((one for one in found if one.active_from <= now), key=_order, default=None)
        return cls(
            code=kind.code,
            title=document.title,
            version=document.version,
            default=document.version == kind.default.version,
            standing="signed" if begun else "unsigned-default",
            active_from=begun.active_from if begun else None,
            newest_default=kind.default.version,
            next=[ActivationOut.model_validate(one) for one in sorted(found, key=_order) if one.active_from > now],
        )


def _order(activation: Activation) -> tuple[datetime, int]:
    return activation.active_from, activation.number


def _described(version: Version) -> dict[str, object]:
    unsigned: Standing = "unsigned-default" if version.is_default else "unsigned"
    shown = version.model_dump(exclude={"clinic_id", "content"})
    return {**shown, "default": version.is_default, "standing": "signed" if version.signed_at else unsigned}
