"""An operator sees what the comparison of facts with what exists would change, in every clinic, before it takes over."""

import json
from typing import Any

from tests.pipeline.conftest import Installation
from tests.support.commands import Ran, afterglow
from tests.support.house import Clinic


async def compare(installation: Installation, *arguments: str) -> Ran:
    where = ("--url", installation.house.origin, "--secrets", str(installation.house.folder / "secrets"))
    return await afterglow("follow-up", *where, "compare", *arguments)


async def found(installation: Installation) -> dict[str, Any]:  # Any: JSON
    ran = await compare(installation, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)  # type: ignore[no-any-return]  # JSON is Any


async def test_what_events_have_made_is_what_the_comparison_wants(installation: Installation, clinic: Clinic) -> None:
    await (await clinic.admit()).complete()
    await installation.house.settled()
    assert await found(installation) == {"patients": 1, "items": []}
    assert "1 patients compared, 0 differences." in (await compare(installation)).out


async def test_what_is_otherwise_is_shown_by_ids_and_codes_and_stays_as_it_is(installation: Installation, clinic: Clinic) -> None:
    patient = await clinic.admit()
    await patient.complete()
    await installation.house.settled()
    admin = await installation.admin("followup")
    await admin.execute("DELETE FROM public.check_in WHERE code = 'C72'")
    await admin.close()
    (one,) = (await found(installation))["items"]
    assert (one["clinic_id"], one["anchor_id"], one["step"], one["code"], one["number"]) == (
        clinic.clinic_id, patient.infusion_id, "make", "C72", 0,
    )  # fmt: skip
    printed = (await compare(installation)).out
    assert patient.patient_id in printed
    assert "C72" in printed
    assert len((await found(installation))["items"]) == 1, "nothing was made by looking"
