"""Commands that go back to what was told before, and the audit that finds what is missing."""

import time
from datetime import datetime
from typing import Annotated

import typer

from services.pipeline import view
from services.pipeline.asking import AsJson, By, OneService, Why, Yes, answer, asked, at, chosen, posted, reader
from services.pipeline.client import Json, Operator
from shared.bus import PARTITIONS

Consumer = Annotated[str, typer.Option("--consumer", help="The service that reads: sessions or followup.")]
Topic = Annotated[str, typer.Option("--topic", help="The topic that it reads, for example sessions.events.")]
_POLL_SECONDS = 0.5


def replay(
    context: typer.Context,
    consumer: Consumer,
    topic: Topic,
    by: By,
    reason: Why,
    partition: Annotated[int | None, typer.Option(min=0, max=PARTITIONS - 1, help="One partition; all of them otherwise.")] = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="First offset; needs --partition.")] = None,
    to_offset: Annotated[int | None, typer.Option(min=0, help="Before this offset; otherwise as far as the consumer has come.")] = None,
    since: Annotated[str | None, typer.Option(help="Instead of offsets: from this time on, such as 2026-11-23T09:00:00Z.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Read a range again into a consumer. What it had is skipped, what it missed is handled; its own position stays."""
    if (from_offset is None) == (since is None):
        raise typer.BadParameter("Say from where: --from-offset with --partition, or --since.")
    if partition is None and (from_offset is not None or to_offset is not None):
        raise typer.BadParameter("Offsets count within a partition: name it with --partition.")
    name = reader(consumer)
    given = {
        "topic": topic,
        "from_offset": from_offset,
        "since": since,
        "to_offset": to_offset,
        "dry_run": not yes,
        "by": by,
        "reason": reason,
    }
    body: Json = {name: value for name, value in given.items() if value is not None}
    with asked(context) as operator:
        numbers = range(PARTITIONS) if partition is None else (partition,)
        found = [part for number in numbers for part in _stretch(operator, f"{at(name)}/replay", {**body, "partition": number})]
    answer(found, as_json, lambda console: view.replayed(console, found), dry=not yes)


def republish(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="Events recorded from this time on, such as 2026-11-23T09:00:00Z.")],
    by: By,
    reason: Why,
    until: Annotated[str | None, typer.Option(help="And before this time; now otherwise.")] = None,
    service: OneService = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Tell events again, with the ids they have: consumers skip what they had. For a topic that was lost or cut short."""
    body: Json = {"since": since, "by": by, "reason": reason, "dry_run": not yes} | ({"until": until} if until else {})
    with asked(context) as operator:
        found = {name: posted(operator, f"{at(name)}/republish", body) for name in chosen(service)}
    answer(found, as_json, lambda console: view.republished(console, found), dry=not yes)


def settle_gap(
    context: typer.Context,
    consumer: Consumer,
    topic: Topic,
    partition: Annotated[int, typer.Option(min=0, max=PARTITIONS - 1, help="The partition that stands still.")],
    by: By,
    reason: Why,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let a consumer go on behind records that Kafka has deleted before they were read. `status` says retention-loss where one waits."""
    name = reader(consumer)
    body: Json = {"topic": topic, "partition": partition, "by": by, "reason": reason, "dry_run": not yes}
    with asked(context) as operator:
        found = operator.post(f"{at(name)}/settle-gap", body)
    answer(found, as_json, lambda console: view.gap(console, found), dry=not yes)


def audit(
    context: typer.Context,
    wait: Annotated[int, typer.Option(min=1, help="Seconds to wait for the last clinic.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Compare what has ended with what was planned, now, in every clinic. Exit code 1 when something is missing or was not compared.

    It counts the infusions of the last seven days, and as far back as one lacks something, without those of the last two minutes: their
    follow-up is given time. The settings are FOLLOWUP_AUDIT_LOOK_BACK_DAYS and FOLLOWUP_AUDIT_GRACE_SECONDS.
    """
    with asked(context) as operator:
        asked_at = operator.post(f"{at('followup')}/audit", {})["asked_at"]
        found = _looked(operator, asked_at, wait)
    answer(found, as_json, lambda console: view.audited(console, found))
    if any(one["missing"] or not one["compared_now"] for one in found):
        raise typer.Exit(1)


def _stretch(operator: Operator, path: str, body: Json) -> list[Json]:
    """A range part by part; each goes on where the one before has stopped."""
    found = [operator.post(path, body)]
    while found[-1]["next_offset"] is not None:
        rest = {name: value for name, value in body.items() if name != "since"}
        found.append(operator.post(path, {**rest, "from_offset": found[-1]["next_offset"], "to_offset": found[-1]["to_offset"]}))
    return found


def _looked(operator: Operator, asked_at: str, wait: int) -> list[Json]:
    """Every clinic, as soon as each was looked at since, or after ``wait`` seconds as it is."""
    deadline = time.monotonic() + wait
    while True:
        found = [_since(one, asked_at) for one in operator.get(f"{at('followup')}/audit")["items"]]
        if all(one["looked"] for one in found) or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)


def _since(one: Json, asked_at: str) -> Json:
    run = one["last_run"]
    looked = run is not None and datetime.fromisoformat(run["ran_at"]) >= datetime.fromisoformat(asked_at)
    return {**one, "looked": looked, "compared_now": looked and run["outcome"] == "compared"}
