"""docker-compose.yml keeps to the written list, and each rule of the list catches what it is there for."""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.deploy import compose_rules as rules
from tests.deploy.compose_rules import Document, Rule

COMPOSE = rules.load()
NOT_FOR_ENV = {"AFTERGLOW_ENV", "AFTERGLOW_CLOCK", "PIP_INDEX_URL", "PIP_TRUSTED_HOST"}
"""What the compose file takes and no `.env` of an installation gives: of the demo, and of the machine that builds."""


def sets(part: str, key: str, value: Any) -> Callable[[Document], None]:  # Any: a value of a YAML document
    def plant(compose: Document) -> None:
        compose["services"][part][key] = value

    return plant


def removes(part: str, key: str) -> Callable[[Document], None]:
    return lambda compose: compose["services"][part].pop(key)


def adds(part: str, key: str, value: str) -> Callable[[Document], None]:
    return lambda compose: compose["services"][part].setdefault(key, []).append(value)


def gives(part: str, variable: str, value: str) -> Callable[[Document], None]:
    return lambda compose: compose["services"][part]["environment"].update({variable: value})


def has_on_top(section: str, name: str, value: Any) -> Callable[[Document], None]:  # Any: as above
    return lambda compose: compose[section].update({name: value})


PLANTED: list[tuple[Rule, Callable[[Document], None]]] = [
    (rules.runs_as_a_user_that_is_not_root, sets("intake", "user", "0:0")),
    (rules.runs_as_a_user_that_is_not_root, sets("postgres", "user", "postgres")),
    (rules.runs_as_a_user_that_is_not_root, removes("gateway", "user")),
    (rules.has_a_read_only_root, sets("kafka", "read_only", value=False)),
    (rules.has_a_read_only_root, removes("migrate", "read_only")),
    (rules.drops_all_capabilities, removes("sessions", "cap_drop")),
    (rules.drops_all_capabilities, sets("gateway", "cap_add", ["NET_BIND_SERVICE", "SYS_ADMIN"])),
    (rules.drops_all_capabilities, sets("postgres", "cap_add", ["CHOWN"])),
    (rules.gains_no_privileges, removes("followup", "security_opt")),
    (rules.gains_no_privileges, sets("followup", "security_opt", ["no-new-privileges:true", "seccomp:unconfined"])),
    (rules.gains_no_privileges, sets("gateway", "privileged", value=True)),
    (rules.gains_no_privileges, sets("prometheus", "network_mode", "host")),
    (rules.is_limited, removes("kafka", "mem_limit")),
    (rules.is_limited, removes("kafka-init", "pids_limit")),
    (rules.is_limited, sets("intake", "logging", {"driver": "json-file"})),
    (rules.publishes_only_the_gateway_on_loopback, sets("postgres", "ports", ["127.0.0.1:5432:5432"])),
    (rules.publishes_only_the_gateway_on_loopback, sets("kafka", "ports", ["9092"])),
    (rules.publishes_only_the_gateway_on_loopback, sets("gateway", "ports", ["8443:8443"])),
    (rules.publishes_only_the_gateway_on_loopback, sets("gateway", "ports", ["0.0.0.0:8443:8443"])),
    (rules.lets_in_and_out_only_where_listed, has_on_top("networks", "data", {})),
    (rules.lets_in_and_out_only_where_listed, adds("sessions", "networks", "outbound")),
    (rules.lets_in_and_out_only_where_listed, adds("postgres", "networks", "services")),
    (rules.lets_in_and_out_only_where_listed, adds("gateway", "networks", "data")),
    (rules.lets_in_and_out_only_where_listed, removes("kafka", "networks")),
    (rules.has_a_health_check, removes("postgres", "healthcheck")),
    (rules.has_a_health_check, sets("intake", "healthcheck", {"disable": True})),
    (rules.names_a_tag_and_no_digest, sets("postgres", "image", "postgres")),
    (rules.names_a_tag_and_no_digest, sets("gateway", "image", "caddy:latest")),
    (rules.names_a_tag_and_no_digest, sets("kafka", "image", "apache/kafka@sha256:0123")),
    (rules.names_a_tag_and_no_digest, sets("intake", "image", "afterglow/intake:latest")),
    (rules.takes_secrets_from_files, gives("sessions", "SESSIONS_CURSOR_KEY", "an example")),
    (rules.takes_secrets_from_files, gives("intake", "INTAKE_DATABASE_URL", "postgresql+asyncpg://intake:pass@postgres/intake")),
    (rules.takes_secrets_from_files, gives("followup", "FOLLOWUP_OTHER_FILE", "/run/secrets/of-nobody")),
    (rules.takes_secrets_from_files, has_on_top("secrets", "sessions-cursor-key", {"environment": "CURSOR_KEY"})),
    (rules.gives_a_secret_only_to_its_owner, adds("sessions", "secrets", "intake-signing-keys.json")),
    (rules.gives_a_secret_only_to_its_owner, adds("followup", "secrets", "followup-owner-password")),
    (rules.gives_a_secret_only_to_its_owner, adds("intake", "secrets", "postgres-admin-password")),
    (rules.mounts_from_the_host_read_only, adds("gateway", "volumes", "/var/run/docker.sock:/var/run/docker.sock:ro")),
    (rules.mounts_from_the_host_read_only, adds("kafka", "volumes", "./deploy/kafka:/etc/kafka")),
    (rules.mounts_from_the_host_read_only, adds("migrate", "volumes", "./deploy/secrets:/etc/secrets")),
    (rules.keeps_data_in_named_volumes, removes("postgres", "volumes")),
    (rules.keeps_data_in_named_volumes, sets("kafka", "volumes", ["./deploy/kafka:/etc/afterglow:ro"])),
    (rules.can_have_replicas, sets("sessions", "container_name", "sessions")),
    (rules.can_have_replicas, gives("followup", "FOLLOWUP_KAFKA_INSTANCE_ID", "followup-1")),
    (rules.waits_for_migrations_and_rights, removes("intake", "depends_on")),
    (rules.waits_for_migrations_and_rights, sets("followup", "depends_on", {"migrate": {"condition": "service_started"}})),
    (rules.is_meant_for_production, gives("intake", "AFTERGLOW_ENV", "demo")),
    (rules.is_meant_for_production, gives("sessions", "AFTERGLOW_PUBLIC_URL", "http://127.0.0.1:8000")),
    (rules.is_meant_for_production, gives("followup", "FOLLOWUP_OUTBOX_FOLDER", "/messages")),
    (rules.may_end_in_peace, removes("kafka", "stop_grace_period")),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_compose_file_keeps_to_the_list(rule: Rule) -> None:
    assert list(rule(COMPOSE)) == []


@pytest.mark.parametrize(("rule", "plant"), PLANTED, ids=[f"{rule.__name__}-{index}" for index, (rule, _) in enumerate(PLANTED)])
def test_a_planted_violation_is_caught(rule: Rule, plant: Callable[[Document], None]) -> None:
    compose = deepcopy(COMPOSE)
    plant(compose)
    assert list(rule(compose)) != []


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, _ in PLANTED} == set(rules.RULES)


def test_the_images_carry_the_version_of_the_project() -> None:
    project = (rules.ROOT / "pyproject.toml").read_text()
    images = {part["image"].rpartition(":")[2] for _, part in rules.parts(COMPOSE) if part["image"].startswith("afterglow/")}
    assert [f'version = "{version}"' in project for version in images] == [True]


def test_what_an_operator_can_set_is_listed_and_what_is_listed_is_passed_on() -> None:
    settable = set(re.findall(r"\$\{(\w+)", (rules.ROOT / "docker-compose.yml").read_text()))
    listed = set(re.findall(r"^#?([A-Z_]+)=", (rules.ROOT / "deploy/env.example").read_text(), flags=re.MULTILINE))
    assert listed == settable - NOT_FOR_ENV


@pytest.mark.parametrize("setting", ["FOLLOWUP_AUDIT_LOOK_BACK_DAYS", "FOLLOWUP_AUDIT_GRACE_SECONDS"])
def test_what_the_runbook_names_as_a_setting_can_be_set(setting: str) -> None:
    assert setting in (rules.ROOT / "docs/operations.md").read_text()
    assert setting in COMPOSE["services"]["followup"]["environment"]


def test_a_demo_is_another_project_and_changes_three_services_only() -> None:
    demo = rules.load(rules.ROOT / "deploy/compose.demo.yml")
    assert demo["name"] != COMPOSE["name"]
    assert demo["services"].keys() == set(rules.SERVICES)
    assert {part["environment"]["AFTERGLOW_ENV"] for part in demo["services"].values()} == {"demo"}
    assert demo["services"]["followup"]["user"] == COMPOSE["services"]["followup"]["user"]
    assert not any("ports" in part or "networks" in part for part in demo["services"].values())
