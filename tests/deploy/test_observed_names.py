"""Whatever rules, dashboard and runbook name is really exposed, with its labels and their values: by a scrape of the three services."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from shared.clock import FrozenClock
from shared.serve import ops_application
from tests.conftest import NEW_YORK_MORNING
from tests.deploy import observed
from tests.deploy.observed import ROOT
from tests.deploy.promql import Exposed, complaints
from tests.support.databases import Databases
from tests.support.house import House, house_on
from tests.support.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def exposed(databases: Databases) -> AsyncIterator[Exposed]:
    """What the three services show after a patient's day."""
    async with house_on(databases, FrozenClock(NEW_YORK_MORNING)) as house:
        patient = await (await house.clinic()).admit()
        await patient.complete()
        await eventually(patient.plans)
        await house.http.get("/nothing-is-here")
        yield by_name(await eventually(lambda: scraped(house), all_measured))


async def scraped(house: House) -> list[Sample]:
    transport = httpx.ASGITransport(ops_application(list(house.services.values())))
    async with httpx.AsyncClient(transport=transport, base_url="http://ops.invalid") as http:
        text = (await http.get("/metrics")).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def all_measured(samples: list[Sample]) -> bool:
    return all(sample.value for sample in samples if sample.name == "afterglow_last_sampled_timestamp_seconds")


def by_name(samples: list[Sample]) -> Exposed:
    named = defaultdict(list)
    for sample in samples:
        named[sample.name].append(sample.labels)
    return named


@pytest.mark.parametrize("expressions", [observed.alerts, observed.shown])
def test_alerts_and_dashboard_name_what_is_exposed(exposed: Exposed, expressions: Callable[[], dict[str, str]]) -> None:
    assert {name: found for name, expression in expressions().items() if (found := list(complaints(expression, exposed)))} == {}


def test_pages_name_what_is_exposed(exposed: Exposed) -> None:
    pages = "\n".join(page.read_text() for page in (ROOT / "docs/operations.md", ROOT / "deploy/README.md"))
    assert list(complaints(pages, exposed)) == []


PLANTED = [
    ("max by (service) (afterglow_outbox_oldest_secs) > 60", "no metric afterglow_outbox_oldest_secs"),
    ("max by (servce) (afterglow_outbox_pending) > 60", "no label servce"),
    ('afterglow_parked_open{reasons="poison"} > 0', "afterglow_parked_open has no label reasons"),
    ('afterglow_parked_open{consumer!="relais"} > 0', "afterglow_parked_open has no consumer 'relais'"),
    ('rate(afterglow_consumer_alarms_total{reason=~"gap|other-log"}[5m]) > 0', "afterglow_consumer_alarms_total has no reason 'other-log'"),
]


@pytest.mark.parametrize(("expression", "complaint"), PLANTED)
def test_a_name_that_nothing_exposes_is_found(exposed: Exposed, expression: str, complaint: str) -> None:
    assert list(complaints(expression, exposed)) == [complaint]


@pytest.mark.parametrize("metric", ["afterglow_outbox_oldest_seconds", "afterglow_completeness_gaps", "afterglow_consumer_held"])
def test_a_metric_that_is_renamed_is_missed(exposed: Exposed, metric: str) -> None:
    renamed = {("afterglow_renamed" if name == metric else name): samples for name, samples in exposed.items()}
    assert [alert for alert, expression in observed.alerts().items() if list(complaints(expression, renamed))]


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for rule in observed.rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_dashboard_is_one_screen_without_overlap() -> None:
    taken = [(x, y) for panel in observed.panels() for x, y in cells(panel["gridPos"])]
    assert len(taken) == len(set(taken))
    assert all(0 <= x < 24 and y < 34 for x, y in taken)


def cells(place: dict[str, int]) -> list[tuple[int, int]]:
    return [(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]


def test_the_dashboard_can_be_given_any_prometheus() -> None:
    assert {panel["datasource"]["uid"] for panel in observed.panels()} == {"${source}"}
    assert len({panel["id"] for panel in observed.panels()}) == len(observed.panels())


def test_every_metric_of_the_pipeline_is_shown_or_alerted_on(exposed: Exposed) -> None:
    """What nobody looks at need not be measured; those named here are for digging."""
    named = " ".join([*observed.alerts().values(), *observed.shown().values()])
    digging = {
        "afterglow_inbox_duplicates_total",
        "afterglow_parked_total",
        "afterglow_outbox_failures_total",
        "afterglow_timers_fired_total",
        "afterglow_tasks_of_leavers_total",
    }
    metrics = {name for name in exposed if not name.endswith(("_created", "_bucket", "_sum", "_count"))}
    assert {name for name in metrics if name not in named} == digging
