"""The trail by itself."""

from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from shared.db import Database
from shared.errors import Unavailable
from shared.security.audit import AuditEvent, append
from tests.support.databases import Databases

ROW = AuditEvent(
    clinic_id=uuid4(), client_id="c", operation="read_note", action="R", phi="read", outcome=200, request_id="r", purpose="TREAT"
)


async def test_a_row_of_another_clinic_cannot_be_written(databases: Databases) -> None:
    async with databases.clone("tiny") as url:
        database = Database(url, name="tiny")
        with pytest.raises(Unavailable) as refused:
            async with database.transaction(uuid4()) as db:
                await append(db, ROW)
        assert isinstance(refused.value.__cause__, DBAPIError)
        assert "read_note" not in refused.value.detail
        async with database.transaction(ROW.clinic_id) as db:
            await append(db, ROW)
            await append(db, ROW)
        await database.close()


def test_every_row_has_an_id_of_its_own() -> None:
    assert ROW.parameters()["audit_event_id"] != ROW.parameters()["audit_event_id"]
