"""The names of failpoints are all of those that the code comes past, and the demo kills at each of them."""

import re
from pathlib import Path

from services.demo import embedded_product
from shared import failpoints

ROOT = Path(__file__).parents[2]


def test_every_failpoint_stands_in_the_code_and_no_other_does() -> None:
    sources = [path.read_text() for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py")]
    passed = {name for source in sources for name in re.findall(r'failpoints\.hit\("([^"]+)"\)', source)}
    assert passed == failpoints.NAMES


def test_the_demo_kills_the_product_at_every_failpoint_of_a_day() -> None:
    settings = embedded_product.failpoints("all")
    of_a_day = failpoints.NAMES - set(failpoints.OF_A_FLOOD)
    assert {setting.partition("=")[0] for setting in settings} == of_a_day
    assert failpoints.parse(",".join(settings)).keys() == of_a_day
