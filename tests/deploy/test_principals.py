"""Principals: what a service's Kafka user and its database role are let do is what the written grants say, and nothing more."""

import pytest

from tests.deploy.stack import ROOT, SERVICES, Stack

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

ACLS = [line.split() for line in (ROOT / "deploy/kafka/acls.txt").read_text().splitlines()]


def granted(service: str, operation: str, kind: str) -> list[str]:
    wanted = {name for principal, right, what, name in ACLS if (principal, right, what) == (f"User:{service}", operation, kind)}
    return [name for name in (*(f"{other}.events" for other in SERVICES), *SERVICES) if name in wanted]


@pytest.mark.parametrize("service", SERVICES)
def test_a_kafka_principal_can_do_what_is_granted_and_is_refused_the_rest(stack: Stack, service: str) -> None:
    found = stack.python(service, "kafka_rights.py")
    assert found == {
        "write": [f"{service}.events"],
        "read": granted(service, "Read", "topic"),
        "groups": granted(service, "Read", "group"),
        "other-group": False,
        "make-topics": False,
        "other-password": False,
        "as-admin": False,
        "without-a-name": False,
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_database_role_gets_into_its_own_database_and_only_with_its_rights(stack: Stack, service: str) -> None:
    assert stack.python(service, "database_rights.py") == {
        "gets-into": [service],
        "as-owner": False,
        "as-admin": False,
        "without-password": False,
        "not-refused": [],
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_its_own_topic_and_no_other(service: str) -> None:
    assert granted(service, "Write", "topic") == [f"{service}.events"]


def test_a_right_that_nobody_wrote_down_is_taken_away(stack: Stack) -> None:
    tool = "/opt/kafka/bin/kafka-acls.sh --bootstrap-server kafka:9092 --command-config /tmp/admin.properties"
    planted = f"{tool} --add --allow-principal User:sessions --operation Write --topic followup.events"
    script = f"set -e; sed '/^set_passwords/,$d' /etc/afterglow/init.sh >/tmp/begin.sh; . /tmp/begin.sh; {planted} >/dev/null"
    stack.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "/bin/bash", "kafka-init", "-c", script)
    mended = stack.compose("run", "--rm", "--no-deps", "-T", "kafka-init").out
    assert "rights taken away:\nUser:sessions Write topic followup.events\n" in mended
    assert "rights given" not in mended
