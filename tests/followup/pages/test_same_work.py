"""A link that cannot be used tells nothing by its page, and nothing by the work that it takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from services.followup.checkins import links
from services.followup.checkins.models import CheckIn, PatientLink
from tests.followup.checkins.world import SECRET, World
from tests.followup.pages.browsing import RIGHT, WRONG, PatientBrowser, calm, post, send, signed_in


async def over(world: World, client: PatientBrowser) -> dict[str, str]:
    """The paths of links that cannot be used, by the cause."""
    used = await signed_in(world, client)
    await send(client, "/c", calm(world))
    _, dead = await world.sent()
    for _ in range(5):
        await send(client, dead, WRONG)
    _, called_off = await world.sent()
    await world.cancel("deceased")
    new, expired = await world.sent()
    world.clock.set(new.expires_at + timedelta(days=4))
    client.cookies.clear()
    unknown = links.token_of(SECRET, world.clinic_id, 1)
    return {
        "used": used,
        "dead": dead,
        "called off": called_off,
        "expired": expired,
        "unknown": f"/c/{unknown}",
        "too short": f"/c/{unknown[:10]}",
        "too long": f"/c/{unknown * 20}",
        "in two parts": "/c/a/b",
    }


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """The statements that are sent, and the rows of links and check-ins that are read by them."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:  # Any: SQLAlchemy's event
        sent.append(" ".join(statement.split()))

    def load(row: object, _context: object) -> None:
        sent.append(f"read {type(row).__name__}")

    engine = world.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    for model in (PatientLink, CheckIn):
        event.listen(model, "load", load)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
        for model in (PatientLink, CheckIn):
            event.remove(model, "load", load)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whatever_the_cause_the_statements_the_bytes_and_what_is_asked_of_intake_are_the_same(
    world: World, client: PatientBrowser, method: str
) -> None:
    asked, pages = {}, {}
    for cause, path in (await over(world, client)).items():
        before = world.contacts.asked
        with counted(world) as statements:
            page = await client.get(path) if method == "GET" else await post(client, path, RIGHT)
        asked[cause] = tuple(statements)
        headers = tuple(sorted((name, value) for name, value in page.headers.items() if name != "x-request-id"))
        pages[cause] = (page.status_code, page.content, headers, world.contacts.asked - before)
    assert len(set(asked.values())) == 1, asked
    assert len(next(iter(asked.values()))) == 3
    assert len(set(pages.values())) == 1
    assert next(iter(pages.values()))[0] == 410
