"""Lists page by page: by key and never by offset, with a cursor that its holder can neither read nor change."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query
from sqlakeyset import BadBookmark
from sqlakeyset.asyncio import select_page
from sqlalchemy import Select

from shared.errors import Malformed
from shared.sealing import Box
from shared.web.call import CallContext
from shared.web.schemas import Listing

T = TypeVar("T")
U = TypeVar("U")

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
_FORM = "^[A-Za-z0-9_-]{1,1024}$"


@dataclass(frozen=True, slots=True)
class PageParams:
    """How many items, and after which one."""

    limit: int
    cursor: str | None


async def page_params(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items on one page.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(pattern=_FORM, description="From `next` of the page before; do not build one.")] = None,
) -> PageParams:
    """The query parameters of every list."""
    return PageParams(limit, cursor)


Page = Annotated[PageParams, Depends(page_params)]
"""Parameter of an endpoint that lists."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of rows and the address of the next one."""

    items: Sequence[T]
    next: str | None

    def listing(self, shown: Callable[[T], U]) -> Listing[U]:
        """The answer, every row shown by ``shown``."""
        return Listing(items=[shown(item) for item in self.items], next=self.next)


async def page_of(call: CallContext, statement: Select[T], page: PageParams) -> Slice[T]:
    """One page of a statement that selects one entity and is ordered by columns that are never null and together unique.

    Sets the Link header when there is a next page, and names the patients on this one for the audit row. Raises Malformed
    (400 cursor-invalid) for a cursor of another list.
    """
    bound_to = _bound_to(call)
    bookmark = _cursors(call).opened(page.cursor, bound_to) if page.cursor else None
    try:
        untyped: Any = statement  # Any: sqlakeyset's annotations are for the generics of SQLAlchemy 2.0
        found = await select_page(call.db, untyped, per_page=page.limit, page=bookmark)
    except BadBookmark:
        raise _invalid() from None
    items = [row[0] for row in found]
    return _slice(call, page, items, found.paging.bookmark_next if found.paging.has_next else None, bound_to)


async def page_by(
    call: CallContext, read: Callable[[str | None, int], Awaitable[tuple[Sequence[T], str | None]]], page: PageParams
) -> Slice[T]:
    """One page of a list that keeps its own bookmarks, for an order that is not one of columns alone; otherwise as ``page_of``.

    ``read`` takes the bookmark of the page before and how many items are wanted, and gives the bookmark behind them where more follow; it
    raises ValueError for one that it did not make.
    """
    bound_to = _bound_to(call)
    try:
        items, bookmark = await read(_cursors(call).opened(page.cursor, bound_to) if page.cursor else None, page.limit)
    except ValueError:
        raise _invalid() from None
    return _slice(call, page, items, bookmark, bound_to)


def _slice(call: CallContext, page: PageParams, items: Sequence[T], bookmark: str | None, bound_to: bytes) -> Slice[T]:
    """The page with its Link header; the patients on it are named for the audit row."""
    following = None
    if bookmark is not None:
        sealed = _cursors(call).sealed(bookmark, bound_to)
        following = f"{call.path}?{urlencode([*call.filters, ('limit', page.limit), ('cursor', sealed)])}"
        call.link(following, rel="next")
    patients = (getattr(item, "patient_id", None) for item in items)
    call.saw(patient_id for patient_id in patients if patient_id is not None)
    return Slice(items, following)


class Cursors:
    """Seals bookmarks, so that the sort values in them stay ours; each is bound to its list, filters and clinic."""

    def __init__(self, secret: str) -> None:
        self._box = Box(secret.encode(), b"afterglow paging cursor")

    def sealed(self, bookmark: str, bound_to: bytes) -> str:
        """A cursor for one list."""
        return self._box.sealed_text(bookmark.encode(), bound_to)

    def opened(self, cursor: str, bound_to: bytes) -> str:
        """The bookmark of a cursor. Raises Malformed unless it was sealed here for the same list."""
        bookmark = self._box.opened_text(cursor, bound_to)
        if bookmark is None:
            raise _invalid()
        return bookmark.decode()


def _cursors(call: CallContext) -> Cursors:
    if call.cursors is None:
        raise LookupError("operations of this credential have no lists")
    return call.cursors


def _bound_to(call: CallContext) -> bytes:
    return urlencode([("path", call.path), ("clinic", str(call.clinic_id)), *sorted(call.filters)]).encode()


def _invalid() -> Malformed:
    return Malformed("cursor-invalid", "The cursor does not belong to this list with these filters.")
