import re

import httpx
import pytest

from services.intake.clinics.schemas import DEFAULT_CRISIS_LINE
from tests.followup.checkins.world import World
from tests.followup.pages.browsing import form_of, send, signed_in
from tests.followup.pages.states import all_pages

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


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Harbor night line (212) 555-0199, 6 pm to 8 am", 'Harbor night line <a href="tel:+12125550199">(212) 555-0199</a>, 6 pm to 8 am'),
        ("Call 1-800-273-8255 and press 1", 'Call <a href="tel:+18002738255">1-800-273-8255</a> and press 1'),
        (
            "By day 212-555-0199, at night +1 212 555 0198.",
            'By day <a href="tel:+12125550199">212-555-0199</a>, at night <a href="tel:+12125550198">+1 212 555 0198</a>.',
        ),
    ],
)
async def test_a_number_in_a_line_can_be_called(world: World, client: httpx.AsyncClient, line: str, shown: str) -> None:
    await signed_in(world, client, crisis_line=line)
    for page in (await form_of(client), await send(client, "/c/help", {})):
        assert f"own help line: {shown}<" in page.text


async def test_a_number_without_spaces_is_shown_with_some(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client, clinic_phone="+12025550143", crisis_line="+442079460000")
    page = (await form_of(client)).text
    assert '<a href="tel:+12025550143">(202) 555-0143</a>' in page
    assert '<a href="tel:+442079460000">+44 20 7946 0000</a>' in page


async def test_no_page_says_that_a_clinics_own_line_is_answered_at_any_hour(world: World, client: httpx.AsyncClient) -> None:
    for page in (await all_pages(world, client, crisis_line="Harbor night line (212) 555-0199, 6 pm to 8 am")).values():
        assert page.text.count("at any hour") == page.text.count("talk to someone at any hour: call or text") + page.text.count(
            "911 or 988 now: somebody answers there at any hour"
        )


async def test_a_line_is_shown_and_never_run(world: World, client: httpx.AsyncClient) -> None:
    await signed_in(world, client, crisis_line='<b onclick="1">988</b>')
    assert "own help line: &lt;b onclick=&#34;1&#34;&gt;988&lt;/b&gt;<" in (await form_of(client)).text
