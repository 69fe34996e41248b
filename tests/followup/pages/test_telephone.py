import re

import httpx
import pytest

from services.intake.clinics.schemas import DEFAULT_CRISIS_LINE
from tests.followup.checkins.world import World
from tests.followup.pages.browsing import form_of, send, signed_in

OF_EVERY_PAGE = ["tel:911", "tel:988", "sms:838255"]
THE_CLINIC = "tel:+12125550100"


def numbers(page: str) -> list[str]:
    """All that the page offers to call or to text."""
    return re.findall(r'href="((?:tel|sms):[^"]*)"', page)


@pytest.mark.parametrize("line", ["988", "911", " 988 ", DEFAULT_CRISIS_LINE])
async def test_a_line_that_says_what_every_page_says_is_not_said_twice(world: World, client: httpx.AsyncClient, line: str) -> None:
    """A clinic that names no line has intake's sentence, of which the digits are 988911: a number that is nobody's."""
    await signed_in(world, client, crisis_line=line)
    page = (await form_of(client)).text
    assert numbers(page) == [*OF_EVERY_PAGE, THE_CLINIC]
    assert "own help line" not in page


@pytest.mark.parametrize(
    "line",
    [
        "Call 1-800-273-8255 and press 1",
        "ask at the desk",
        "988 or 911",
        "212 555 0100 212 555 0101",
        "988911",
        "+1 000 000 0000",
        "(----)",
        "\u0661\u0662\u0663",
    ],
)
async def test_a_line_that_is_no_number_is_text_and_no_link(world: World, client: httpx.AsyncClient, line: str) -> None:
    await signed_in(world, client, crisis_line=line)
    page = (await form_of(client)).text
    assert f"own help line: {line}<" in page
    assert numbers(page) == [*OF_EVERY_PAGE, THE_CLINIC]


@pytest.mark.parametrize("line", ["1-800-273-8255", "+1 (800) 273-8255", "800.273.8255"])
async def test_a_line_that_is_a_number_can_be_called(world: World, client: httpx.AsyncClient, line: str) -> None:
    await signed_in(world, client, crisis_line=line)
    for page in (await form_of(client), await send(client, "/c/help", {})):
        assert f'own help line: <a href="tel:+18002738255">{line}</a><' in page.text


async def test_a_line_is_shown_and_never_run(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client, crisis_line='<b onclick="1">988</b>')
    assert "own help line: &lt;b onclick=&#34;1&#34;&gt;988&lt;/b&gt;<" in (await form_of(client)).text
