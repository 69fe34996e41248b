"""The reasons why a record is parked are the same in the code, in the table that keeps them and in the page for who must settle them."""

import re
from pathlib import Path

from shared.parked_reasons import ParkedReason
from tests.support.databases import Databases
from tests.support.pipeline import Parties

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"


async def test_the_table_takes_every_reason_and_no_other(databases: Databases) -> None:
    parties = Parties(databases)
    receiver = await parties.receiver("receiver")
    rule = await receiver.admin.fetchval("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_parked_reason'")
    await parties.leave()
    assert sorted(re.findall(r"'([^']+)'", rule)) == sorted(ParkedReason)


def test_the_operator_can_read_about_every_reason() -> None:
    page = OPERATIONS.read_text()
    assert [reason for reason in ParkedReason if f"`{reason}`" not in page] == []
