"""What the pipeline commands print for people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Column, Table

from services.pipeline.client import Json

_UNHEALTHY = {"retention-loss", "another-log"}


def status(console: Console, found: Mapping[str, Json]) -> None:
    """One picture of all services, and then what a person should look at."""
    table = Table("service", "outbox", "oldest in it", "relay", "lag", "oldest unread", "parked", "keys blocked", title="Pipeline")
    for name, one in found.items():
        table.add_row(*_row(name, one))
    console.print(table)
    for name, one in found.items():
        _places(console, name, one)
        for reason in one.get("parked", {}).get("by_reason", []):
            console.print(f"{name}: {reason['count']} parked, {reason['reason']}, oldest {age(reason['oldest_seconds'])}")


def parked(console: Console, rows: Iterable[tuple[str, Json]]) -> None:
    """A list of parked records."""
    # Nothing is cut short: an id that cannot be read cannot be typed.
    headings = ("id", "consumer", "type", "key", "reason", "error", "tries", "parked for")
    table = Table(*(Column(heading, overflow="fold", no_wrap=heading == "id") for heading in headings), title="Parked")
    for service, row in rows:
        waited = age((datetime.now(UTC) - datetime.fromisoformat(row["parked_at"])).total_seconds())
        what = (
            row["consumer"],
            row["type"] or "?",
            row["key"] or "(no id)",
            row["reason"],
            row["error_class"],
            str(row["attempts"]),
            waited,
        )
        table.add_row(f"{service}/{row['parked_id']}", *what)
    console.print(table if table.row_count else "Nothing is parked.")


_EXAMPLES = 20


def compared(console: Console, patients: int, found: Sequence[Json], counts: Mapping[tuple[str, str], int]) -> None:
    """How many differences there are of each kind, and some of them with their ids."""
    console.print(f"{patients} patients compared, {len(found)} differences.")
    if not found:
        return
    table = Table("would", "what", Column("how often", justify="right"), title="Differences")
    for (step, code), count in sorted(counts.items()):
        table.add_row(step, code, str(count))
    console.print(table)
    examples = Table(*(Column(heading, overflow="fold") for heading in ("patient", "would", "what", "hangs on")), title="Examples")
    for one in found[:_EXAMPLES]:
        examples.add_row(one["patient_id"], one["step"], one["code"], one["anchor_id"] or "-")
    console.print(examples)


def record(console: Console, document: Json) -> None:
    """One thing, member by member."""
    table = Table.grid(padding=(0, 2))
    for name, value in document.items():
        for label, shown in value.items() if isinstance(value, dict) else ((name, value),):
            table.add_row(label, "-" if shown is None else str(shown))
    console.print(table)


def redriven(console: Console, found: Mapping[str, Sequence[Json]]) -> None:
    """What a redrive did, or would do, service by service."""
    for service, parts in found.items():
        _redriven(console, service, parts)


def _redriven(console: Console, service: str, parts: Sequence[Json]) -> None:
    total = {name: sum(part[name] for part in parts) for name in ("keys", "chosen", "redriven", "set_aside")}
    failed = [one for part in parts for one in part["failed"]]
    if parts[0]["dry_run"]:
        console.print(f"{service}: would try {total['chosen']} records of {total['keys']} keys")
    else:
        console.print(f"{service}: {total['redriven']} redriven, {len(failed)} failed again")
    for one in failed:
        console.print(f"  {service}/{one['parked_id']} stays parked: {one['reason']}, {one['error_class']}")
    for head in (number for part in parts for number in part["held_up_by"]):
        console.print(f"  {service}/{head} was not chosen and holds up some that were")
    if total["set_aside"]:
        console.print(f"  {total['set_aside']} block nothing and can only be discarded")


def replayed(console: Console, found: Sequence[Json]) -> None:
    """What reading again found, over all partitions."""
    total = {name: sum(part[name] for part in found) for name in ("read", "known", "ignored", "applied", "parked")}
    verb = "would be tried" if found[0]["dry_run"] else "applied"
    console.print(f"{total['read']} read: {total['known']} known already, {total['ignored']} not for this consumer, ", end="")
    console.print(f"{total['applied']} {verb}, {total['parked']} parked")


def republished(console: Console, found: Mapping[str, Sequence[Json]]) -> None:
    """What is told again, service by service."""
    for service, some in found.items():
        events, waiting = (sum(part[name] for part in some) for name in ("events", "waiting_already"))
        verb = "would be told again" if some[0]["dry_run"] else "go to the bus again"
        console.print(f"{service}: {events} events {verb}; {waiting} wait for the bus already")


def gap(console: Console, found: Json) -> None:
    """A gap, and what may still bring back what is lost."""
    place = f"{found['topic']}/{found['partition']}"
    console.print(f"{place}: offsets {found['from_offset']} to {found['to_offset'] - 1} are lost ({found['lost']}).")
    producer = found["topic"].partition(".")[0]
    again = f"republish --service {producer} --since TIME --by NAME --reason WHY"
    console.print(f"What {producer} has kept can be told again: afterglow pipeline {again}")


def audited(console: Console, found: Sequence[Json]) -> None:
    """What the audit found, clinic by clinic."""
    table = Table("clinic", "looked at", "infusions", "missing", title="Completeness")
    for one in found:
        run = one["last_run"] or {"ran_at": "never", "compared": "-", "outcome": "-"}
        lacking = ", ".join(f"{count} {code}" for code, count in one["missing"].items()) or "nothing"
        table.add_row(
            one["clinic_id"], run["ran_at"], str(run["compared"]), lacking if one["compared_now"] else f"NOT COMPARED ({run['outcome']})"
        )
    console.print(table)
    if runs := [one["last_run"] for one in found if one["last_run"]]:
        _counted(console, runs)


def _counted(console: Console, runs: Sequence[Json]) -> None:
    """Which infusions a look is about: one that has just ended is not missed yet."""
    since = min(datetime.fromisoformat(run["window_from"]) for run in runs)
    last = max(runs, key=lambda run: datetime.fromisoformat(run["ran_at"]))
    until, ran_at = (datetime.fromisoformat(last[name]) for name in ("window_to", "ran_at"))
    console.print(
        f"Counted is what was closed or corrected between {since.isoformat(timespec='seconds')} and {until.isoformat(timespec='seconds')}; "
        f"what was closed in the last {(ran_at - until).total_seconds():.0f} s is given time."
    )


def age(seconds: float | None) -> str:
    """An age that is read at a glance."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _row(name: str, one: Json) -> tuple[str, ...]:
    if "error" in one:
        return (name, one["error"])
    consumer, outbox, relay = one["consumer"], one["outbox"], one["relay"]
    lag = ("-", "-") if consumer is None else ("bus away", "?") if not consumer["bus_answers"] else _lag(consumer)
    standing_by = f" +{relay['standing_by']} standing by" if relay["standing_by"] else ""
    working = ("active" if relay["active"] else "NONE") + standing_by
    parked_now = (str(one["parked"]["count"]), str(one["parked"]["keys_blocked"]))
    return (name, str(outbox["pending"]), age(outbox["oldest_seconds"]), working, *lag, *parked_now)


def _lag(consumer: Json) -> tuple[str, str]:
    return str(consumer["lag"]), age(consumer["oldest_seconds"])


def _places(console: Console, name: str, one: Json) -> None:
    """The partitions in which something waits or is wrong."""
    consumer = one.get("consumer") or {"partitions": []}
    for place in consumer["partitions"]:
        if place["lag"] or place["state"] in _UNHEALTHY:
            at = f"{place['topic']}/{place['partition']}"
            stands = f"at {place['next_offset']} of {place['first_offset']}..{place['end_offset']}"
            console.print(f"{name}: {at} {place['state']}, {stands}, lag {place['lag']}, oldest {age(place['oldest_seconds'])}")
