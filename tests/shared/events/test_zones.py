"""A time zone is checked where an event is read: what gives no zone is the event's fault, never the look of an outage."""

import json
from pathlib import Path

import pytest

from shared.db import is_away
from shared.events import MalformedEvent, registry
from shared.events.zones import zone_of

GOLDEN = Path(__file__).parent / "golden"
NO_ZONES = {
    "unknown": "Mars/Olympus",
    "a folder": "America",
    "longer than a file's name may be": "a" * 300,
    "outside": "../../etc/passwd",
    "with a null": "America/\0",
    "no text": "\ud800",
    "nothing": "",
    "no zone in it": "zone.tab",
}
TELLING = sorted(path for path in GOLDEN.glob("*.json") if "time_zone" in path.read_text())


@pytest.mark.parametrize("name", NO_ZONES.values(), ids=NO_ZONES)
def test_a_name_that_gives_no_zone_is_a_wrong_value_and_not_repeated(name: str) -> None:
    with pytest.raises(ValueError, match=r"^no time zone has this name$") as refused:
        zone_of(name)
    assert not is_away(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("sample", TELLING, ids=lambda path: path.stem)
def test_an_event_with_a_zone_that_is_none_is_malformed(sample: Path) -> None:
    facts = json.loads(sample.read_text())
    field = next(name for name in ("time_zone", "patient_time_zone") if name in facts)
    registry.read(sample.stem, json.dumps(facts).encode())
    for name in ("America", "a" * 300, "Mars/Olympus"):
        with pytest.raises(MalformedEvent):
            registry.read(sample.stem, json.dumps(facts | {field: name}).encode())


def test_every_event_that_tells_a_zone_is_tried() -> None:
    telling = {cls.type.full_name for cls in registry.classes() if any("zone" in name for name in cls.model_fields)}
    assert telling == {path.stem for path in TELLING}
