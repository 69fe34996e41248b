"""What was recorded is changed only by who has seen it as it is: 428 without a version, 412 with an old one, and nothing is changed."""

from tests.support.operations import Op
from tests.trust.table import if_match_table
from tests.trust.world import World

NEVER = 999_999


def operations_with(world: World, if_match: str) -> list[Op]:
    table = if_match_table()
    return [op for op in world.of_clinic_systems() if table.get(str(op)) == if_match]


async def test_a_change_of_what_is_recorded_is_refused_without_the_version_that_was_seen(world: World) -> None:
    changed = operations_with(world, "required")
    answers = {str(op): (await world.ask(op, world.somebody_for(op), world.ids, seen=None))[0] for op in changed}
    found = {name: (answer.status_code, answer.json()["code"]) for name, answer in answers.items()}
    assert found == dict.fromkeys(found, (428, "if-match-required"))
    assert len(found) > 5


async def test_a_change_or_a_step_on_an_older_version_is_refused(world: World) -> None:
    found = {}
    for op in operations_with(world, "required") + operations_with(world, "optional"):
        answer, _ = await world.ask(op, world.somebody_for(op), world.ids, seen=NEVER)
        found[str(op)] = (answer.status_code, answer.json()["code"])
    assert found == dict.fromkeys(found, (412, "version-stale"))
    assert len(found) > 30
