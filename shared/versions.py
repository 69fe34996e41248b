"""Versions of records as weak entity tags: ``ETag: W/"3"`` in answers, ``If-Match: W/"3"`` in changes."""

import re

from shared.errors import DomainError, Malformed, PreconditionFailed

_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,8})"', re.ASCII)


def etag(version: int) -> str:
    return f'W/"{version}"'


def if_match(header: str | None) -> int | None:
    """The version a caller has seen. Raises Malformed (400) for anything but one of our tags."""
    if header is None:
        return None
    match = _TAG.fullmatch(header.strip())
    if match is None:
        raise Malformed("if-match-malformed", 'If-Match names one version, such as W/"3".')
    return int(match[1])


def require(seen: int | None, current: int) -> None:
    """Raises 428 when no version was named and 412 when it is not the current one."""
    if seen is None:
        raise required()
    if seen != current:
        raise PreconditionFailed("version-stale", "The record has changed since; read it again.", headers={"ETag": etag(current)})


def required() -> DomainError:
    """The refusal of a change without If-Match."""
    return DomainError("if-match-required", "Name the version you have seen in If-Match.", status=428)
