"""What of a record may be shown to an operator. A defective producer may have put anything anywhere, so only what has the form of an
id, a small number, a time of ours or a type that we know is shown, and everything else is left out.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from shared.events.registry import Registry

_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_VERSION = re.compile(r"[0-9]{1,4}")
_SEQUENCE = re.compile(r"[1-9][0-9]{0,6}")
"""As far as ten million: a birth date, a social security number and a telephone number have more digits."""
_TIME = re.compile(r"20[2-9][0-9]-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?Z")
"""As we write it, and of a year in which there were events; a birth date is of an earlier one."""


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
        "ce_subject": _is_subject(registry),
        "ce_time": _is_time,
        "ce_partitionkey": _is_id,
        "ce_sequence": lambda text: _SEQUENCE.fullmatch(text) is not None,
        "ce_hops": lambda text: _SEQUENCE.fullmatch(text) is not None,
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


def _is_subject(registry: Registry) -> Callable[[str], bool]:
    kinds = {cls.type.subject_kind for cls in registry.classes()}

    def known(text: str) -> bool:
        kind, _, subject_id = text.partition("/")
        return kind in kinds and _is_id(subject_id)

    return known


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        return _TIME.fullmatch(text) is not None and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
