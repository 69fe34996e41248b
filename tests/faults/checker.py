"""What became of everything, judged by final state alone: the databases as their superuser sees them, the topics, the clinic's books."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg

from services.restored import STEP
from shared.bus import Record, event_id_of
from shared.postgres import SERVICES
from tests.faults.clinic import Ledger
from tests.faults.installation import READS, TOPICS, Installation
from tests.support.waiting import eventually

INJECTED = "injected"
"""Header of records that a scenario wrote by itself."""

Rows = Sequence[asyncpg.Record]


@dataclass
class Verdict:
    """What is wrong, with the first words of each finding; ``absorbed`` counts repetitions that did no harm."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    absorbed: int = 0

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return len(self.lost), len(self.doubled), len(self.disordered), len(self.invented)

    @property
    def whole(self) -> bool:
        return not any(self.counts)

    def __str__(self) -> str:
        named = {"lost": self.lost, "doubled": self.doubled, "out of order": self.disordered, "invented": self.invented}
        return "; ".join(f"{name} {len(found)}: {', '.join(found[:4])}" for name, found in named.items() if found) or "whole"


@dataclass(frozen=True)
class State:
    """Everything that is looked at."""

    log: Mapping[str, Rows]
    """Each producer's events, by service."""
    inbox: Mapping[str, Rows]
    topics: Mapping[str, Sequence[Record]]
    parked: Mapping[str, Rows]
    sessions: Mapping[str, Rows]
    followup: Mapping[str, Rows]
    intake: Mapping[str, Rows]


async def quiet(installation: Installation, *, within: float = 240.0) -> float:
    """Wait until nothing is under way any more: outboxes empty, lag 0, no timer or message due. Returns the seconds that it took."""
    began = time.monotonic()
    await eventually(lambda: under_way(installation), lambda left: not any(left.values()), within=within, every=0.25)
    return time.monotonic() - began


async def under_way(installation: Installation) -> dict[str, int]:
    """How much each part has still to do: outboxes, timers, messages, events that are not handled."""
    ends = {topic: await installation.broker.end_offsets(topic) for topic in TOPICS}
    left: dict[str, int] = {}
    for service in SERVICES:
        async with installation.superuser(service) as admin:
            left[f"{service} pending"] = await admin.fetchval("SELECT count(*) FROM platform.outbox_pending")
            left[f"{service} timers"] = await admin.fetchval(
                "SELECT count(*) FROM platform.timer WHERE state = 'armed' AND due_at <= now()"
            )
            if service == "followup":
                left["messages"] = await admin.fetchval("SELECT count(*) FROM platform.message_queue WHERE leaves_at <= now()")
            done = {(row["topic"], row["partition"]): row["next_offset"] for row in await admin.fetch(_OFFSETS)}
        left[f"{service} lag"] = sum(
            max(end - done.get((topic, partition), 0), 0) for topic in READS.get(service, ()) for partition, end in ends[topic].items()
        )
    return left


async def judge(installation: Installation, ledger: Ledger, *, foreign: Collection[UUID] = (), only_results: bool = False) -> Verdict:
    """Compare everything with everything. ``foreign`` are ids of events that a scenario put on a topic itself.

    ``only_results`` looks at what has become of everything and not at the way there, where a scenario takes part of that away.
    """
    state = await _read(installation)
    verdict = Verdict()
    if not only_results:
        _judge_way(verdict, state, frozenset(foreign))
    _judge_sets(verdict, state)
    _judge_weeks(verdict, state)
    _judge_clocks(verdict, state)
    _judge_projections(verdict, state)
    _judge_books(verdict, state, ledger)
    _judge_parked(verdict, state)
    return verdict


def _judge_way(verdict: Verdict, state: State, foreign: Collection[UUID]) -> None:
    """Each event was published, came in once, and had its effect once and in order."""
    for topic in TOPICS:
        _judge_topic(verdict, topic, state, foreign)
    for service, topics in READS.items():
        for topic in topics:
            _judge_inbox(verdict, service, topic, state, foreign)
    _judge_effects(verdict, state)
    _judge_answers(verdict, state)


def _judge_topic(verdict: Verdict, topic: str, state: State, foreign: Collection[UUID]) -> None:
    """The topic holds what the log holds, and each key's first occurrences follow its versions."""
    told = {row["event_id"]: row for row in state.log[topic.partition(".")[0]]}
    seen: dict[UUID, None] = {}
    for record in state.topics[topic]:
        event_id = event_id_of(record)
        if event_id is None or event_id in foreign:
            continue
        verdict.absorbed += event_id in seen
        seen.setdefault(event_id)
    verdict.lost += [f"{topic} {event_id} was never published" for event_id in told.keys() - seen.keys()]
    verdict.invented += [f"{topic} {event_id} is in no log" for event_id in seen.keys() - told.keys()]
    stories: dict[str, list[int]] = defaultdict(list)
    for event_id in seen:
        if event_id in told:
            stories[told[event_id]["key"]].append(told[event_id]["key_version"])
    verdict.disordered += [f"{topic} key {key}: {_shown(story)}" for key, story in stories.items() if _falls(story)]


def _judge_inbox(verdict: Verdict, service: str, topic: str, state: State, foreign: Collection[UUID]) -> None:
    """Every event of the log has come in, none from elsewhere, and each key's came in the order of its versions."""
    told = [row for row in state.log[topic.partition(".")[0]] if _is_heard(service, topic, row["type"])]
    handled = {row["event_id"]: row["processed_at"] for row in state.inbox[service]}
    verdict.lost += [f"{service} never handled {row['type']} {row['event_id']}" for row in told if row["event_id"] not in handled]
    stories: dict[str, list[Any]] = defaultdict(list)  # Any: moments
    for row in sorted(told, key=lambda row: int(row["key_version"])):
        if row["event_id"] in handled:
            stories[row["key"]].append(handled[row["event_id"]])
    verdict.disordered += [f"{service} {topic} key {key}" for key, story in stories.items() if _falls(story)]
    if topic == READS[service][0]:
        known = {row["event_id"] for rows in state.log.values() for row in rows} | set(foreign)
        verdict.invented += [f"{service} handled {event_id}, which nobody told" for event_id in handled.keys() - known]


def _is_heard(service: str, topic: str, type_name: str) -> bool:
    """All types of a topic are, but of followup's only what sessions is asked for."""
    return (service, topic) != ("sessions", "followup.events") or type_name == "followup.infusion.event-requested.v1"


def _judge_effects(verdict: Verdict, state: State) -> None:
    """What followup took over of each infusion: every told version, as often as it was told, in rising order. See the witness."""
    told = Counter((row["infusion_id"], row["version"]) for row in state.sessions["told"])
    applied = Counter((row["infusion_id"], row["version"]) for row in state.followup["applied"])
    for what in told.keys() | applied.keys():
        if what not in told:
            verdict.invented.append(f"infusion {what[0]} v{what[1]} was applied and never told")
        elif applied[what] < told[what]:
            verdict.lost.append(f"infusion {what[0]} v{what[1]} was applied {applied[what]} of {told[what]} times")
        elif applied[what] > told[what]:
            verdict.doubled.append(f"infusion {what[0]} v{what[1]} was applied {applied[what]} times, told {told[what]}")
    stories: dict[UUID, list[int]] = defaultdict(list)
    for row in state.followup["applied"]:
        stories[row["infusion_id"]].append(row["version"])
    verdict.disordered += [f"infusion {infusion}: {_shown(story)}" for infusion, story in stories.items() if _falls(story)]


def _judge_answers(verdict: Verdict, state: State) -> None:
    """An event that caused another one caused it once."""
    for service, rows in state.log.items():
        caused = Counter((row["causation_id"], row["type"], row["subject"]) for row in rows if row["causation_id"] is not None)
        verdict.doubled += [f"{service} answered {cause[0]} {count} times" for cause, count in caused.items() if count > 1]


def _judge_sets(verdict: Verdict, state: State) -> None:
    """Every finished infusion that gave drug has one full set, and there is no set without its infusion."""
    ended = {row["infusion_id"] for row in state.sessions["ended"]}
    parts = Counter((row["infusion_id"], row["part"]) for row in state.followup["parts"])
    for infusion_id in ended:
        for part in ("plan", "integration-session", "C24", "C72"):
            count = parts[infusion_id, part]
            if count == 0:
                verdict.lost.append(f"infusion {infusion_id} has no {part}")
            elif count > 1:
                verdict.doubled.append(f"infusion {infusion_id} has {count} {part}")
    verdict.invented += [f"{part} for infusion {infusion_id}, which never ended" for infusion_id, part in parts if infusion_id not in ended]


def _judge_weeks(verdict: Verdict, state: State) -> None:
    """One series for each course that has begun, and of each series every week that has come, once."""
    begun = {row["course_id"] for row in state.sessions["ended"]}
    series = {row["course_id"] for row in state.followup["series"]}
    verdict.lost += [f"course {course} has no weeks" for course in begun - series]
    verdict.invented += [f"weeks for course {course}, which never began" for course in series - begun]
    weeks = Counter((row["course_id"], row["ordinal"]) for row in state.followup["weeks"])
    verdict.doubled += [f"course {course} has {count} of week {week}" for (course, week), count in weeks.items() if count > 1]


def _judge_clocks(verdict: Verdict, state: State) -> None:
    """What time should have done has happened, whatever became of the timers for it: they are not looked at."""
    verdict.lost += [f"course {row['course_id']} lacks week {row['week']}, which has come" for row in state.followup["missing"]]
    verdict.lost += [f"check-in {row['check_in_id']} never opened" for row in state.followup["unopened"]]
    verdict.lost += [f"check-in {row['check_in_id']} never expired" for row in state.followup["unexpired"]]


def _of_each(rows: Sequence[asyncpg.Record]) -> dict[UUID, tuple[int, str]]:
    """Version and status. A restore lifts what is told from then on; until then the others know a record by the number that it had."""
    return {row["id"]: (row["version"] % STEP, row["status"]) for row in rows}


def _judge_projections(verdict: Verdict, state: State) -> None:
    """What sessions and followup know of patients and courses is what intake has."""
    for name in ("patient", "course"):
        truth = _of_each(state.intake[name])
        for service, tables in (("sessions", state.sessions), ("followup", state.followup)):
            known = _of_each(tables[name])
            verdict.lost += [f"{service} does not know {name} {one}" for one in truth if known.get(one) != truth[one]]
            verdict.invented += [f"{service} knows {name} {one}, which intake does not" for one in known.keys() - truth.keys()]


def _judge_books(verdict: Verdict, state: State, ledger: Ledger) -> None:
    """What the clinic was told had been done is there, once; and nothing is there that it never asked for."""
    consents = Counter(row["patient_id"] for row in state.intake["consents"])
    _compare(verdict, "consents of patient", consents, ledger.patients)
    ended = {row["infusion_id"] for row in state.sessions["ended"]}
    verdict.lost += [f"infusion {visit} was answered and is not completed" for visit in ledger.visits.keys() - ended]
    for table, wanted in (("vitals", 1), ("versions", len(_VERSIONS))):
        found = Counter(row["infusion_id"] for row in state.sessions[table])
        _compare(verdict, f"{table} of infusion", {visit: found[visit] for visit in ledger.visits}, dict.fromkeys(ledger.visits, wanted))
    claims = Counter(row["task_id"] for row in state.followup["claims"])
    _compare(verdict, "claims of task", claims, dict.fromkeys(ledger.claims, 1))
    booked = len(state.sessions["infusions"])
    verdict.doubled += [f"{booked} infusions for {ledger.begun} bookings"] * (booked > ledger.begun)
    verdict.lost += [f"{booked} infusions for {ledger.begun} bookings"] * (booked < ledger.begun)


_VERSIONS = ("schedule", "check-in", "start", "pump-end", "complete")


def _compare(verdict: Verdict, what: str, found: Mapping[UUID, int], wanted: Mapping[UUID, int]) -> None:
    for one in found.keys() | wanted.keys():
        given, due = found.get(one, 0), wanted.get(one, 0)
        if given != due:
            (verdict.lost if given < due else verdict.doubled).append(f"{what} {one}: {given}, not {due}")


def _judge_parked(verdict: Verdict, state: State) -> None:
    """Nothing is parked but what was put there to be parked."""
    injected = {
        (record.topic, record.partition, record.offset)
        for records in state.topics.values()
        for record in records
        if INJECTED in dict(record.headers)
    }
    for service, rows in state.parked.items():
        verdict.lost += [
            f"{service} parked {row['reason']} {row['event_id']}"
            for row in rows
            if row["consumer"] == "relay" or (row["topic"], row["partition"], row["offset"]) not in injected
        ]


def _falls(story: Iterable[Any]) -> bool:  # Any: numbers or moments
    return any(later < earlier for earlier, later in pairwise(story))


def _shown(story: Sequence[int]) -> str:
    return " ".join(map(str, story[:12]))


async def _read(installation: Installation) -> State:
    logs, inboxes, parked, tables = {}, {}, {}, {}
    for service in SERVICES:
        async with installation.superuser(service) as admin:
            logs[service] = await admin.fetch(_LOG)
            inboxes[service] = await admin.fetch("SELECT event_id, processed_at FROM platform.inbox WHERE consumer = $1", service)
            parked[service] = await admin.fetch("SELECT * FROM platform.parked WHERE state = 'parked'")
            tables[service] = {name: await admin.fetch(sql) for name, sql in _TABLES[service].items()}
    topics = dict(zip(TOPICS, await asyncio.gather(*map(installation.broker.records, TOPICS)), strict=True))
    return State(logs, inboxes, topics, parked, tables["sessions"], tables["followup"], tables["intake"])


_OFFSETS = "SELECT topic, partition, next_offset FROM platform.consumer_offset"
_LOG = "SELECT event_id, type, key, key_version, subject, causation_id FROM platform.event_log ORDER BY seq"
_ENDED = "('completed', 'stopped-early', 'left-against-advice', 'transferred')"
_PAST = "now() - interval '5 seconds'"
"""Timers are looked for every second; what came due after all was quiet may still be on its way."""
_TABLES: Mapping[str, Mapping[str, str]] = {
    "intake": {
        "patient": "SELECT patient_id AS id, version, status FROM patient",
        "course": "SELECT course_id AS id, version, status FROM course",
        "consents": "SELECT patient_id FROM consent",
    },
    "sessions": {
        "patient": "SELECT patient_id AS id, version, status FROM patient",
        "course": "SELECT course_id AS id, version, status FROM course",
        "infusions": "SELECT infusion_id FROM infusion",
        "ended": f"SELECT infusion_id, course_id FROM infusion WHERE dose_given_mg > 0 AND state IN {_ENDED}",  # noqa: S608 - ours
        "vitals": "SELECT infusion_id FROM vital_signs",
        "versions": "SELECT infusion_id FROM infusion_version WHERE step <> 'first-of-course'",
        "told": """
            SELECT (convert_from(data, 'UTF8')::jsonb ->> 'infusion_id')::uuid AS infusion_id,
                   (convert_from(data, 'UTF8')::jsonb ->> 'infusion_version')::int AS version
            FROM platform.event_log
        """,
    },
    "followup": {
        "patient": "SELECT patient_id AS id, version, status FROM patient",
        "course": "SELECT course_id AS id, version, status FROM course",
        "applied": "SELECT infusion_id, version FROM witness.applied ORDER BY n",
        "parts": """
            SELECT infusion_id, 'plan' AS part FROM plan
            UNION ALL SELECT infusion_id, code FROM check_in WHERE infusion_id IS NOT NULL
            UNION ALL SELECT infusion_id, kind FROM care_task WHERE kind = 'integration-session'
        """,
        "claims": "SELECT task_id FROM task_history WHERE action = 'claimed'",
        "series": "SELECT anchor_id AS course_id FROM anchor_pin WHERE anchor_id IN (SELECT course_id FROM course)",
        "weeks": "SELECT course_id, ordinal FROM check_in WHERE code = 'WK'",
        "missing": f"""
            SELECT begun.course_id, week FROM (
                SELECT i.course_id, p.time_zone, (min(i.pump_ended_at) AT TIME ZONE p.time_zone)::date AS day_0
                FROM infusion i JOIN patient p USING (clinic_id, patient_id) JOIN course c USING (clinic_id, course_id)
                WHERE i.drug_given AND i.pump_ended_at IS NOT NULL AND i.state <> 'entered-in-error'
                  AND p.status = 'active' AND p.treatment_standing = 'active' AND c.status IN ('active', 'on-hold')
                GROUP BY i.course_id, p.time_zone
            ) AS begun CROSS JOIN generate_series(1, 60) AS week
            WHERE (day_0 + 7 * week + 1)::timestamp AT TIME ZONE begun.time_zone <= {_PAST}
              AND NOT EXISTS (SELECT FROM check_in w WHERE w.course_id = begun.course_id AND w.code = 'WK' AND w.ordinal = week)
        """,  # noqa: S608 - ours
        "unopened": f"SELECT check_in_id FROM check_in WHERE status = 'planned' AND opens_at <= {_PAST}",  # noqa: S608 - ours
        "unexpired": f"SELECT check_in_id FROM check_in WHERE status IN ('open', 'overdue') AND expires_at <= {_PAST}",  # noqa: S608 - ours
    },
}
