"""Each alert fires on what it is for, and not on what is fine; judged by Prometheus' own tool on the rules as they are shipped."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.deploy import observed
from tests.deploy.stack import readable_by_containers

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

IMAGE = "prom/prometheus:v3.5.0"
SERVICE = 'service="followup", instance="a"'
OTHER = 'service="followup", instance="b"'
PLACE = 'consumer="followup", topic="sessions.events", partition="3"'
STAMP = "afterglow_last_sampled_timestamp_seconds"
RISING, FROZEN = "0+15x240", "0+15x20 300x220"
"""Of a timestamp that is always new, at a sample every 15 s; and of one that stays behind after five minutes."""

Series = dict[str, str]


class Case(NamedTuple):
    """Series with which an alert fires within the hour, and series with which it does not; values as promtool writes them."""

    alert: str
    bad: Series
    fine: Series


def gauge(name: str, labels: str = SERVICE, *, value: str) -> Series:
    return {f"{name}{{{labels}}}": f"{value}x240"}


def stamps(part: str, *values: str) -> Series:
    return {f'{STAMP}{{{labels}, part="{part}"}}': value for labels, value in zip((SERVICE, OTHER), values, strict=True)}


def leaders(*counts: int) -> Series:
    return {f"afterglow_relay_leading{{{labels}}}": f"{count}x240" for labels, count in zip((SERVICE, OTHER), counts, strict=True)}


def services(*names: str) -> Series:
    return {f'afterglow_relay_leading{{service="{name}"}}': "1x240" for name in names}


def standing(lag: str, position: str) -> Series:
    return {f"afterglow_consumer_lag{{{SERVICE}, {PLACE}}}": lag, f"afterglow_consumer_position{{{SERVICE}, {PLACE}}}": position}


def requests(good: str, failed: str) -> Series:
    return {
        f'afterglow_http_requests_total{{{SERVICE}, operation="tasks", status="200"}}': good,
        f'afterglow_http_requests_total{{{SERVICE}, operation="tasks", status="500"}}': failed,
    }


def answers(within_a_second: str) -> Series:
    name = f'afterglow_http_request_seconds_bucket{{{SERVICE}, operation="tasks"'
    return {f'{name}, le="1.0"}}': within_a_second, f'{name}, le="2.5"}}': "0+100x240", f'{name}, le="+Inf"}}': "0+100x240"}


def counted(name: str, labels: str, *, bad: str, fine: str) -> tuple[Series, Series]:
    series = f"{name}{{{SERVICE}, {labels}}}" if labels else f"{name}{{{SERVICE}}}"
    return {series: bad}, {series: fine}


def calls(answered: str, failed: str) -> Series:
    name = f'afterglow_calls_total{{{SERVICE}, peer="intake"'
    return {f'{name}, outcome="answered"}}': answered, f'{name}, outcome="failed"}}': failed}


POISON = f'{SERVICE}, consumer="followup", reason="poison"'
BEHIND = f'{SERVICE}, consumer="followup", reason="behind-parked-key"'
FLOODED = f'{SERVICE}, consumer="followup", reason="flood"'
LOOP, LATE = "afterglow_event_loop_delay_seconds", "afterglow_messages_oldest_due_seconds"
ALARMS = "afterglow_consumer_alarms_total"
MAIL = ("login-refused", "mailbox-busy")
CASES = [
    Case("ServiceMissing", services("intake", "sessions"), services("intake", "sessions", "followup")),
    Case("PostgreSQLAway", stamps("database", FROZEN, FROZEN), stamps("database", RISING, FROZEN)),
    Case("KafkaAway", stamps("bus", FROZEN, FROZEN), stamps("bus", RISING, FROZEN)),
    Case("NotMeasured", stamps("messages", RISING, FROZEN), stamps("messages", RISING, RISING)),
    Case("ClockOff", gauge("afterglow_clock_skew_seconds", value="1.5"), gauge("afterglow_clock_skew_seconds", value="0.2")),
    Case("EventLoopHeldUp", gauge(LOOP, value="0.7"), gauge(LOOP, value="0.1")),
    Case(
        "ConnectionsUsedUp",
        gauge("afterglow_database_connections_in_use", value="10") | gauge("afterglow_database_connections_limit", value="10"),
        gauge("afterglow_database_connections_in_use", value="5") | gauge("afterglow_database_connections_limit", value="10"),
    ),
    Case("RequestsFail", requests("0+100x240", "0+2x240"), requests("0+1000x240", "0+1x240")),
    Case("RequestsSlow", answers("0+90x240"), answers("0+100x240")),
    Case("WorkerFails", *counted("afterglow_worker_failures_total", 'worker="outreach"', bad="0+1x240", fine="0x100 1x140")),
    Case("RelayWithoutLeader", leaders(0, 0), leaders(1, 0)),
    Case("OutboxWaits", gauge("afterglow_outbox_oldest_seconds", value="90"), gauge("afterglow_outbox_oldest_seconds", value="2")),
    Case(
        "EventUnpublishable",
        gauge("afterglow_parked_open", f'{SERVICE}, consumer="relay", reason="unpublishable"', value="1"),
        gauge("afterglow_parked_open", POISON, value="1"),
    ),
    Case(
        "RecordsParked",
        # Its head was given up: nothing is wrong with what waits, and still the patient is blocked.
        gauge("afterglow_parked_open", POISON, value="0") | gauge("afterglow_parked_open", BEHIND, value="1"),
        gauge("afterglow_parked_open", POISON, value="0") | gauge("afterglow_parked_open", BEHIND, value="0"),
    ),
    Case(
        "OneKeyFloods",
        gauge("afterglow_parked_open", FLOODED, value="1"),
        gauge("afterglow_parked_open", FLOODED, value="0") | gauge("afterglow_parked_open", POISON, value="1"),
    ),
    Case(
        "ConsumerBehind",
        gauge("afterglow_consumer_oldest_seconds", f"{SERVICE}, {PLACE}", value="90"),
        gauge("afterglow_consumer_oldest_seconds", f"{SERVICE}, {PLACE}", value="3"),
    ),
    Case("ConsumerStandsStill", standing("7x240", "100x240"), standing("7x240", "100+1x240") | standing("0x240", "100+1x240")),
    Case(
        "RecordsLost",
        gauge("afterglow_consumer_held", f"{SERVICE}, {PLACE}", value="1"),
        gauge("afterglow_consumer_held", f"{SERVICE}, {PLACE}", value="0"),
    ),
    Case("LogReplaced", *counted(ALARMS, 'reason="another-log"', bad="_x200 1x40", fine="1x240")),
    Case("PartitionFails", *counted(ALARMS, 'reason="not-handled"', bad="0+1x240", fine="0x200 1x40")),
    Case("ConsumerFenced", *counted("afterglow_consumer_fenced_total", "", bad="0+1x240", fine="0x200 2x40")),
    Case("UnknownEvents", *counted("afterglow_inbox_ignored_total", "", bad="0+1x240", fine="5x240")),
    Case(
        "TimersLate",
        gauge("afterglow_timers_oldest_due_seconds", f'{SERVICE}, timer_kind="week"', value="200"),
        gauge("afterglow_timers_oldest_due_seconds", f'{SERVICE}, timer_kind="week"', value="1"),
    ),
    Case("FollowUpMissing", gauge("afterglow_completeness_gaps", value="1"), gauge("afterglow_completeness_gaps", value="0")),
    Case(
        "FollowUpDrifts",
        {f"afterglow_plan_drift_total{{{SERVICE}}}": "0x60 3x180"},
        {f"afterglow_plan_drift_total{{{SERVICE}}}": "3x240"},
    ),
    Case(
        "AuditStopped",
        {f"afterglow_completeness_last_audit_timestamp_seconds{{{labels}}}": FROZEN for labels in (SERVICE, OTHER)},
        {
            f"afterglow_completeness_last_audit_timestamp_seconds{{{SERVICE}}}": RISING,
            f"afterglow_completeness_last_audit_timestamp_seconds{{{OTHER}}}": FROZEN,
        },
    ),
    Case("MessagesWait", gauge(LATE, value="1000"), gauge(LATE, value="5")),
    Case(
        "MailServerRefusesUs",
        *(counted("afterglow_message_waits_total", f'reason="{reason}"', bad="0+1x240", fine="_x240")[0] for reason in MAIL),
    ),
    Case("CallsFail", calls("0+1x240", "0+3x240"), calls("0+9x240", "0+1x240")),
]


def test_every_alert_has_a_case() -> None:
    assert [case.alert for case in CASES] == list(observed.alerts())


def test_prometheus_takes_its_settings_and_the_rules_with_them() -> None:
    readable_by_containers()
    said = promtool(observed.ALERTS.parent, "check", "config", "/rules/prometheus.yml")
    assert f"SUCCESS: {len(CASES)} rules found" in said


def test_each_alert_fires_on_what_it_is_for_and_on_nothing_else(tmp_path: Path) -> None:
    said = judged(tmp_path, [trial for case in CASES for trial in (trial_of(case.alert, case.bad, 1), trial_of(case.alert, case.fine, 0))])
    assert "SUCCESS" in said, said


def test_each_wrong_expectation_is_seen(tmp_path: Path) -> None:
    """The judge does not pass everything: turned round, every case fails."""
    said = judged(tmp_path, [trial_of(case.alert, case.bad, 0) for case in CASES])
    assert [case.alert for case in CASES if f'alertname=\\"{case.alert}\\"' not in said] == []


def trial_of(alert: str, series: Series, firing: int) -> dict[str, object]:
    """A test of promtool: whether the alert fires, for one set of labels, after an hour."""
    query = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
    return {
        "name": f"{alert}-{firing}",
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "59m", "exp_samples": [{"labels": "{}", "value": firing}]}],
    }


def judged(folder: Path, trials: list[dict[str, object]]) -> str:
    (folder / "alerts.yml").write_text(observed.ALERTS.read_text())
    (folder / "trials.yml").write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": "15s", "tests": trials}))
    folder.chmod(0o755)
    return promtool(folder, "test", "rules", "/rules/trials.yml")


def promtool(folder: Path, *arguments: str) -> str:
    command = ["docker", "run", "--rm", "--network", "none", "--volume", f"{folder}:/rules:ro", "--entrypoint", "promtool", IMAGE]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr
