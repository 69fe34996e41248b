"""What of a record may be shown to an operator. A defective producer may have put anything anywhere, so only what has the form of an
id, a number, a time or a type that we know is shown, and everything else is left out.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from shared.events.registry import Registry

_SUBJECT = re.compile(r"[A-Za-z]{1,40}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_VERSION = re.compile(r"[0-9]{1,4}")


def key(given: str | None) -> str | None:
    """A key that is an id; None for any other."""
    return given if given is not None and _is_id(given) and given == str(UUID(given)) else None


def event_type(headers: Sequence[tuple[str, str]], registry: Registry) -> str | None:
    """The type that a record names, if it is one of ours in whatever version."""
    named = _text(dict(headers).get("ce_type"))
    return named if named is not None and _is_type(registry)(named) else None


def headers(given: Sequence[tuple[str, str]], registry: Registry) -> dict[str, str]:
    """The headers that hold what they should."""
    forms: dict[str, Callable[[str], bool]] = {
        "ce_id": _is_id,
        "ce_type": _is_type(registry),
        "ce_source": {f"/{topic.removesuffix('.events')}" for topic in registry.topics()}.__contains__,
        "ce_subject": lambda text: _SUBJECT.fullmatch(text) is not None,
        "ce_time": _is_time,
        "ce_partitionkey": _is_id,
        "ce_sequence": lambda text: text.isascii() and text.isdigit() and len(text) < 20,
        "ce_clinicid": _is_id,
        "ce_correlationid": _is_id,
        "ce_causationid": _is_id,
        "traceparent": lambda text: _TRACE.fullmatch(text) is not None,
    }
    texts = {name: _text(value) for name, value in given if name in forms}
    return {name: text for name, text in texts.items() if text is not None and forms[name](text)}


def _text(encoded: str | None) -> str | None:
    try:
        return b64decode(encoded).decode("ascii") if encoded is not None else None
    except ValueError:
        return None


def _is_type(registry: Registry) -> Callable[[str], bool]:
    names = {f"{cls.type.producer}.{cls.type.name}" for cls in registry.classes()}

    def known(text: str) -> bool:
        name, _, version = text.rpartition(".v")
        return name in names and _VERSION.fullmatch(version) is not None

    return known


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
