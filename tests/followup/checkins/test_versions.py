"""A second version of the form and its rules stands beside the first; what was sent with the first is read by the first."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.followup.checkins import answers as answering
from services.followup.checkins.forms import SAFETY_SET, Answers
from services.followup.checkins.policy import CheckInSetup, load_setup
from tests.followup.checkins.world import World


def edited(path: Path, version: int, **changes: Any) -> None:  # Any: YAML
    """The first version of a file, changed, as the next one beside it."""
    document = yaml.safe_load(path.read_text())
    path.with_name(path.name.replace("v1", f"v{version}")).write_text(yaml.safe_dump(document | {"version": version} | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The safety set with a second form that asks one thing only, and second rules under which any distress worries."""
    copied = tmp_path / "safety_set"
    shutil.copytree(str(SAFETY_SET), copied)
    section = {"title": "How upset you feel", "items": [{"id": "distress", "kind": "scale", "risk": True, "label": "How upset are you?"}]}
    variant = {"sections": ["distress"], "since": "today", "check_ins": ["C24", "C72"]}
    edited(copied / "form-v1.yaml", 2, sections={"distress": section}, variants={"safety-set": variant})
    rule = {"id": "any-distress", "item": "distress", "at_least": 1, "level": "urgent", "within": "urgent", "why": "Any.", "source": "test"}
    edited(copied / "rules-v1.yaml", 2, form_versions=[2], rules=[rule])
    return copied


async def submit(world: World, check_in_id: Any, answers: Answers, setup: CheckInSetup) -> None:  # Any: a UUID
    async with world.database.transaction(world.clinic_id) as db:
        assert await answering.submit(db, check_in_id, answers, world.clock.now(), setup)


async def test_what_was_opened_with_the_first_version_is_answered_and_read_with_it(world: World, folder: Path) -> None:
    before = await world.opened("C24")
    both = load_setup(folder)
    later = replace(world, setup=both)
    after = await later.opened("C24")

    first = both.forms.sent_with("safety-set", 1)
    quiet: dict[str, Any] = {"yes-no": "no", "bother": 0, "scale": 0}
    await submit(later, before.check_in_id, {item.item_id: quiet[item.kind] for item in first.items.values()} | {"distress": 2}, both)
    await submit(later, after.check_in_id, {"distress": 2}, both)
    rows = await world.read("SELECT check_in_id, form_version FROM check_in_answers")
    assert {row.check_in_id: row.form_version for row in rows} == {before.check_in_id: 1, after.check_in_id: 2}
    worries = await world.read("SELECT check_in_id, rule_id, rule_version FROM check_in_worry")
    assert [tuple(row) for row in worries] == [(after.check_in_id, "any-distress", 2)]


def test_what_the_new_form_does_not_name_is_still_sent_with_the_old_one(folder: Path) -> None:
    forms = load_setup(folder).forms
    assert {code: form.version for code, form in forms.of_check_in.items()} == {"C24": 2, "C72": 2, "WK": 1}


def test_the_newest_rules_that_name_a_version_of_the_form_read_it(folder: Path) -> None:
    edited(folder / "rules-v1.yaml", 3, form_versions=[1, 2])
    rules = load_setup(folder).rules
    assert {rules.reading(form).version for form in load_setup(folder).forms.known.values()} == {3}


def test_a_form_whose_answers_no_rules_read_stops_the_start(folder: Path) -> None:
    (folder / "rules-v2.yaml").unlink()
    with pytest.raises(LookupError, match="version 2 of safety-set"):
        load_setup(folder)
