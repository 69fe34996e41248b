"""Every page that a patient can come to see, by name."""

from dataclasses import replace

import httpx

from tests.followup.checkins.world import World
from tests.followup.pages.browsing import RIGHT, WRONG, app_of, browser, calm, form_of, post, send, signed_in


async def all_pages(world: World, client: httpx.AsyncClient, **contact: str) -> dict[str, httpx.Response]:
    """``contact`` is what the clinic calls itself, and its numbers."""
    if contact:
        world.known(world.patient_id, **contact)
    _, path = await world.sent()
    pages = {
        "birth date": await client.get(path),
        "no date": await send(client, path, {}),
        "wrong date": await send(client, path, WRONG),
        "day first": await send(client, path, {**RIGHT, "birth_month": "27"}),
        "refused": await send(client, path, RIGHT, **{"sec-fetch-site": "cross-site"}),
    }
    await send(client, path, RIGHT)
    return pages | {
        "form": await form_of(client),
        "form with errors": await send(client, "/c", {}),
        "help on the form": await send(client, "/c/help", {}),
        **await _after_the_session(world, client, path),
        "thanks": await send(client, "/c", calm(world, call_today="yes")),
        "sent before": await send(client, "/c", calm(world)),
        "help after thanks": await send(client, "/c/help", {}),
        "help": await client.get("/c/help"),
        "help that reaches nobody": await send(client, "/c/help", {"mark": ""}),
        "gone": await client.get("/c/unknown"),
        **await _of_an_inactive_clinic(world, client),
        **await _ended(world, client),
        "too many tries": await _limited(world),
        **await _from_elsewhere(world, client),
    }


async def _after_the_session(world: World, client: httpx.AsyncClient, path: str) -> dict[str, httpx.Response]:
    await world.end_sessions()
    return {
        "session over": await send(client, "/c", calm(world)),
        "session over and left alone": await _forgetting(client, await form_of(client)),
        "help after the session": await send(client, "/c/help", {}),
        "answers came back": await _came_back(world, client, path),
    }


async def _came_back(world: World, client: httpx.AsyncClient, path: str) -> httpx.Response:
    await send(client, "/c", calm(world))
    return await send(client, path, RIGHT)


async def _forgetting(client: httpx.AsyncClient, page: httpx.Response) -> httpx.Response:
    """The same page without what waits in the browser."""
    for name in [name for name in client.cookies if "form-" in name]:
        client.cookies.delete(name)
    return await client.get(page.url.path)


async def _of_an_inactive_clinic(world: World, client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    client.cookies.clear()
    path = await signed_in(world, client)
    async with browser(app_of(world, clinic_active=False), cookies=client.cookies) as after:
        return {
            "nobody reads this link": await after.get(path),
            "nobody reads this form": await form_of(after),
            "nobody reads a call for help": await send(after, "/c/help", dict(await _mark_of(client))),
        }


async def _mark_of(client: httpx.AsyncClient) -> dict[str, str]:
    await form_of(client)
    return {"mark": str(getattr(client, "mark", ""))}


async def _ended(world: World, client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    client.cookies.clear()
    await signed_in(world, client)
    await world.cancel("infusion-entered-in-error")
    return {
        "ended": await form_of(client),
        "ended while it was filled in": await send(client, "/c", calm(world)),
        "help after the end": await send(client, "/c/help", {}),
    }


async def _from_elsewhere(world: World, client: httpx.AsyncClient) -> dict[str, httpx.Response]:
    client.cookies.clear()
    path = await signed_in(world, client)
    async with browser(app_of(world)) as other:
        pages = {"from another browser": await post(other, "/c", {**calm(world), **await _mark_of(client)})}
        for _ in range(5):
            pages["link closed"] = await send(other, path, WRONG)
    return pages


async def _limited(world: World) -> httpx.Response:
    limits = replace(world.setup, policy=replace(world.setup.policy, wrong_tries_per_address=1))
    given, world.setup = world.setup, limits
    async with browser(app_of(world)) as client:
        _, path = await world.sent(opens_at=world.clock.now())
        here = {"x-forwarded-for": "8.8.8.8"}
        await post(client, path, WRONG, **here)
        page = await post(client, path, RIGHT, **here)
    world.setup = given
    return page
