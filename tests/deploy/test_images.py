"""What is in the images, looked at from inside: the locked packages and one service, and nothing to build or install with."""

import json
import re
import subprocess
from typing import Any

import pytest

from tests.deploy.stack import INSIDE, ROOT, SERVICES, Stack, docker

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

LOCKED = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z]+\])?==([^\s;]+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))


def image_of(built: Stack, name: str) -> str:
    return f"afterglow/{name}:{built.version}"


def inside(image: str) -> dict[str, Any]:  # Any: what the script printed
    contained = ["--read-only", "--cap-drop", "ALL", "--network", "none", "--entrypoint", "python"]
    ran = subprocess.run(
        ["docker", "run", "--rm", "--interactive", *contained, image, "-"],
        input=(INSIDE / "image.py").read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(ran.stdout)  # Any: as above
    return found


@pytest.mark.parametrize("name", [*SERVICES, "operator"])
def test_an_image_holds_the_locked_packages_and_one_service(built: Stack, name: str) -> None:
    found = inside(image_of(built, name))
    installed = {tuple(package.split("==")) for package in found["packages"]}
    assert installed <= LOCKED
    assert len(installed) > 30
    assert (found["importable"], found["programs"], found["writable"], found["user"]) == ([], [], [], 10001)
    assert [variable for variable in found["environment"] if variable.startswith("PIP_INDEX") or "PROXY" in variable.upper()] == []
    # The operator's commands see all services; a service sees itself.
    assert found["services"] == (sorted([*SERVICES, "documents", "pipeline"]) if name == "operator" else [name])


@pytest.mark.parametrize("name", [*SERVICES, "operator"])
def test_an_image_lists_what_is_in_it(built: Stack, name: str) -> None:
    found = inside(image_of(built, name))
    sbom = found["sbom"]
    listed = {f"{part['name']}=={part['version']}" for part in sbom["components"] if part["purl"].startswith("pkg:pypi/")}
    assert listed == set(found["packages"])
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["component"]["name"] == f"afterglow-{name}"
    assert sbom["metadata"]["component"]["version"] == built.version
    assert any(part["purl"].startswith("pkg:deb/debian/libc6@") for part in sbom["components"])
    references = [part["bom-ref"] for part in sbom["components"]]
    assert len(references) == len(set(references))


def test_an_image_tells_nothing_of_where_its_packages_came_from(built: Stack) -> None:
    for name in (*SERVICES, "operator"):
        history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image_of(built, name))
        assert re.findall(r"index-url|INDEX_URL=\S|trusted-host", history) == []


def test_the_probe_of_an_image_says_when_nobody_answers(built: Stack) -> None:
    ran = built.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "intake", "-IS", "/opt/afterglow/probe.py", check=False)
    assert ran.code == 1
