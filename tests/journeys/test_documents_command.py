"""``afterglow documents``, as a clinic's people type it: see, try, save, sign, and what they are told when it is refused."""

import json
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.commands import Ran, afterglow
from tests.support.house import Clinic


class Typed:
    """The command line of one clinic."""

    def __init__(self, clinic: Clinic, folder: Path) -> None:
        self.clinic = clinic
        self.key = folder / "key.json"
        self.key.write_text(json.dumps(clinic.key.as_dict(private=True)))
        self.text = folder / "mine.yaml"

    async def __call__(self, *arguments: str) -> Ran:
        where = ("--url", self.clinic.house.origin, "--client", self.clinic.client_id, "--key", str(self.key))
        return await afterglow("documents", *where, *arguments)

    def by(self, name: str) -> tuple[str, str]:
        return "--by", str(self.clinic.staff[name])


@pytest_asyncio.fixture(loop_scope="session")
async def typed(clinic: Clinic, tmp_path: Path) -> Typed:
    await clinic.hire_one("director", "medical-director")
    await clinic.known()
    return Typed(clinic, tmp_path)


async def test_a_clinic_sees_tries_saves_and_signs_a_version(typed: Typed) -> None:
    shown = await typed("show", "vital-signs")
    typed.text.write_text(shown.out.replace("version: 2\n", "").replace("systolic_mmhg, above: 140", "systolic_mmhg, above: 130"))
    tried = await typed("check", "vital-signs", str(typed.text), *typed.by("prescriber"))
    assert (tried.code, "version 1001" in tried.out) == (0, True)
    saved = await typed("add", "vital-signs", str(typed.text), *typed.by("prescriber"))
    assert (saved.code, "Saved as version 1001." in saved.out) == (0, True)
    signed = await typed("sign", "vital-signs", "1001", *typed.by("director"))
    assert (signed.code, "is signed and counts from" in signed.out) == (0, True)
    listed = await typed("list", "--json")
    assert [(one["code"], one["version"], one["standing"]) for one in listed.json()["sessions"] if one["code"] == "vital-signs"] == [
        ("vital-signs", 1001, "signed")
    ]
    assert "1001" in (await typed("list")).out
    again = await typed("activate", "vital-signs", "1001", *typed.by("director"))
    assert again.code == 0


async def test_a_broken_text_is_told_line_by_line(typed: Typed) -> None:
    shown = await typed("show", "vital-signs")
    typed.text.write_text(shown.out.replace("version: 2\n", "").replace("above: 140", "above: 1400"))
    refused = await typed("check", "vital-signs", str(typed.text), *typed.by("prescriber"))
    assert refused.code == 1
    assert "the text: Line 29: /hold/0: No possible reading decides about this rule." in refused.err
    assert "Mend these lines and check again." in refused.err


@pytest.mark.parametrize(
    ("arguments", "by", "told"),
    [
        (("sign", "vital-signs", "1001"), "director", "afterglow documents list"),
        (("sign", "moods", "1001"), "director", "There is no document with this code."),
        (("sign", "vital-signs", "2"), "prescriber", "Name somebody with this role: --by"),
        (("sign", "vital-signs", "2", "--from", "yesterday"), "director", "--from"),
    ],
)
async def test_a_refusal_says_what_to_do_next(typed: Typed, arguments: tuple[str, ...], by: str, told: str) -> None:
    refused = await typed(*arguments, *typed.by(by))
    assert refused.code == 1
    assert told in refused.err


async def test_a_key_that_is_not_there_is_named(typed: Typed) -> None:
    typed.key.unlink()
    refused = await typed("list")
    assert (refused.code, "Name the file with the client's private key: --key" in refused.err) == (1, True)
