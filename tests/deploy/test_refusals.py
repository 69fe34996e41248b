"""What must not start does not: each unsafe setting alone ends a container with code 78 and names the setting, never its value."""

import shutil
from pathlib import Path

import pytest

from tests.deploy.stack import Stack

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

EXIT_UNSAFE = 78

SECRETS = [
    ("intake", "intake-cursor-key", "demo-cursor-key-0123456789-abcdefgh-0123456789", "INTAKE_CURSOR_KEY"),
    ("intake", "intake-cursor-key", "short", "INTAKE_CURSOR_KEY"),
    ("intake", "intake-database-password", "changeme-changeme-changeme-changeme-changeme", "INTAKE_DATABASE_PASSWORD"),
    ("intake", "intake-signing-keys.json", "{}", "INTAKE_SIGNING_KEYS"),
    ("sessions", "sessions-cursor-key", "a" * 48, "SESSIONS_CURSOR_KEY"),
    ("sessions", "sessions-kafka-password", "", "SESSIONS_KAFKA_PASSWORD"),
    ("followup", "followup-link-secret", "password-password-password-password-password", "FOLLOWUP_LINK_SECRET"),
    ("followup", "followup-client-key.json", "", "FOLLOWUP_CLIENT_KEY"),
    ("kafka", "kafka-admin-password", "admin", "kafka-admin-password"),
]
"""A service, one of its secrets, the value that it must refuse, and the name that it must give."""

SETTINGS = [
    ("intake", "AFTERGLOW_PUBLIC_URL", "http://127.0.0.1:8443", "AFTERGLOW_PUBLIC_URL"),
    ("intake", "INTAKE_CURSOR_KEY_FILE", "/run/secrets/of-nobody", "INTAKE_CURSOR_KEY_FILE"),
    ("intake", "INTAKE_SIGNING_KEYS_FILE", "", "INTAKE_SIGNING_KEYS"),
    ("intake", "AFTERGLOW_PUBLIC_URL", "https://care.example.org/queue", "AFTERGLOW_PUBLIC_URL"),
    ("sessions", "AFTERGLOW_FAILPOINTS", "relay.after_publish=kill", "AFTERGLOW_FAILPOINTS"),
    ("sessions", "AFTERGLOW_LOG_LEVEL", "DEBUG", "AFTERGLOW_LOG_LEVEL"),
    ("sessions", "SESSIONS_KAFKA_USERNAME", "", "SESSIONS_KAFKA_USERNAME"),
    ("sessions", "SESSIONS_DATABASE_URL", "nonsense", "SESSIONS_DATABASE_URL"),
    ("sessions", "AFTERGLOW_ENV", "staging", "AFTERGLOW_ENV"),
    ("followup", "FOLLOWUP_SMTP_HOST", "", "FOLLOWUP_SMTP_HOST"),
    ("followup", "FOLLOWUP_OUTBOX_FOLDER", "/messages", "FOLLOWUP_OUTBOX_FOLDER"),
    ("followup", "AFTERGLOW_CLOCK", "2027-03-08T14:00:00+00:00", "AFTERGLOW_CLOCK"),
]
"""A service, one of its settings, the value that it must refuse, and the name that it must give."""


@pytest.mark.parametrize(("service", "secret", "value", "name"), SECRETS, ids=[f"{row[1]}-{index}" for index, row in enumerate(SECRETS)])
def test_a_secret_that_is_none_is_refused_by_name(stack: Stack, tmp_path: Path, service: str, secret: str, value: str, name: str) -> None:
    folder = tmp_path / "secrets"
    shutil.copytree(stack.secrets, folder)
    (folder / secret).unlink()
    (folder / secret).write_text(value)
    ran = stack.compose("run", "--rm", "--no-deps", "-T", service, check=False, settings={"AFTERGLOW_SECRETS": str(folder)})
    assert ran.code == EXIT_UNSAFE
    refusal = next(line for line in ran.err.splitlines() if line.startswith("Refused to start."))
    assert name in refusal
    assert len(value) < 6 or value not in ran.out + ran.err


def test_one_value_for_two_secrets_is_refused(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    shutil.copytree(stack.secrets, folder)
    (folder / "sessions-cursor-key").unlink()
    shutil.copyfile(folder / "sessions-database-password", folder / "sessions-cursor-key")
    ran = stack.compose("run", "--rm", "--no-deps", "-T", "sessions", check=False, settings={"AFTERGLOW_SECRETS": str(folder)})
    assert ran.code == EXIT_UNSAFE
    assert "SESSIONS_DATABASE_PASSWORD: has the same value as SESSIONS_CURSOR_KEY" in ran.err


@pytest.mark.parametrize(("service", "setting", "value", "name"), SETTINGS, ids=[f"{row[1]}-{index}" for index, row in enumerate(SETTINGS)])
def test_an_unsafe_setting_is_refused_by_name(stack: Stack, service: str, setting: str, value: str, name: str) -> None:
    ran = stack.compose("run", "--rm", "--no-deps", "-T", "-e", f"{setting}={value}", service, check=False)
    assert ran.code == EXIT_UNSAFE
    assert name in next(line for line in ran.err.splitlines() if line.startswith("Refused to start."))


@pytest.mark.parametrize("missing", ["intake-cursor-key", "postgres-admin-password", "gateway-ca.key"])
def test_compose_does_not_start_without_a_secrets_file(stack: Stack, tmp_path: Path, missing: str) -> None:
    folder = tmp_path / "secrets"
    shutil.copytree(stack.secrets, folder)
    (folder / missing).unlink()
    service = {"intake-cursor-key": "intake", "postgres-admin-password": "migrate", "gateway-ca.key": "gateway"}[missing]
    ran = stack.compose("run", "--rm", "--no-deps", "-T", service, check=False, settings={"AFTERGLOW_SECRETS": str(folder)})
    assert ran.code not in {0, EXIT_UNSAFE}
    assert missing in ran.err
    assert not (folder / missing).exists()
