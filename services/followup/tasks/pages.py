"""The queue as a page: plain and read-only, the list of the JSON API for the person who has signed in."""

from typing import NamedTuple
from uuid import UUID

from fastapi import Response

from services.followup.roles import WORKERS
from services.followup.tasks import queries
from services.followup.tasks.api import Wanted, by_roles, found_tasks, telling
from services.followup.tasks.in_force import QueueInForce
from services.followup.tasks.queries import COUNT_LIMIT, View
from services.followup.tasks.schemas import TaskOut
from shared.web import Call, Credential, Page, Router, staff_access
from shared.web.shell import Shell


class Tab(NamedTuple):
    """A view by its name, what its list says of its order, and what stands there where it is empty."""

    view: View
    name: str
    order: str
    empty: str


_PRESSING, _LAST_CLOSED = "most pressing first", "last closed first"
TABS = (
    Tab(View.MINE, "Mine", _PRESSING, "You have no open task."),
    Tab(View.UNASSIGNED, "Unassigned", _PRESSING, "No task is waiting for somebody to take it."),
    Tab(View.ON_HOLD, "On hold", _PRESSING, "No task is on hold."),
    Tab(View.DONE, "Done", _LAST_CLOSED, "No task is done yet."),
    Tab(View.OPEN, "All open", _PRESSING, "No task is open."),
)


def queue_pages(session: Credential, queue: QueueInForce) -> Router:
    """One page for each tab."""
    shell = Shell(__package__)
    router = Router(credential=session, answers=shell, include_in_schema=False)

    @router.get("/queue")
    @staff_access("user/Task.r", person=WORKERS, phi="read")
    async def show_queue(call: Call, page: Page, wanted: Wanted, view: View = View.OPEN) -> Response:
        wanted = await by_roles(call, queue, wanted)
        found = await found_tasks(call, page, wanted, view)
        told = await telling(call, queue, found.items)
        counts = await queries.count(call.db, wanted)
        rows = [TaskOut.of(task, told) for task in found.items]
        shown = {"tab": _tab(view), "counts": counts, "rows": rows, "next": found.next, "me": wanted.me}
        return shell.page("queue.html", tabs=TABS, limit=COUNT_LIMIT, whose=whose, **shown)

    return router


def _tab(view: View) -> Tab:
    """What was called off has no tab of its own, and may be looked at."""
    return next((tab for tab in TABS if tab.view is view), Tab(view, "Cancelled", _LAST_CLOSED, "No task was cancelled."))


def whose(owner_id: UUID | None, me: UUID | None) -> str:
    """Who has a task, as far as this service knows: names are intake's."""
    if owner_id is None:
        return "Nobody's yet"
    return "Yours" if owner_id == me else "Somebody else's"
