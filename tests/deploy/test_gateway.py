"""The gateway's log alone: what goes wrong with a patient's page is said without the page's key, and the test can tell."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from services import secrets
from tests.deploy.stack import ROOT, Stack, docker, free_port, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

KEY = "canary-of-a-patients-page-0123456789"
CADDYFILE = (ROOT / "deploy/gateway/Caddyfile").read_text()
FILTER = CADDYFILE[CADDYFILE.index("\t\tformat filter") : CADDYFILE.index("\n\t}\n}\n\n(careful)")]


@contextmanager
def gateway(folder: Path, caddyfile: str) -> Iterator[tuple[Stack, str]]:
    """A gateway with nothing behind it, as talkative as it can be; its container's id."""
    secrets.generate_for_containers(folder / "secrets")
    (folder / "Caddyfile").write_text(caddyfile.replace("level WARN", "level DEBUG"))
    alone = Stack(folder, "", free_port())
    mounts = ["--volume", f"{folder}/Caddyfile:/etc/caddy/Caddyfile:ro", "--volume", f"{alone.secrets}:/run/secrets:ro"]
    options = ["--detach", "--env", "GATEWAY_HOST=127.0.0.1", "--publish", f"127.0.0.1:{alone.port}:8443", *mounts]
    container = docker("run", *options, "caddy:2").strip()
    try:
        until(lambda: "serving initial configuration" in log_of(container), seconds=60, what="a gateway that serves")
        yield alone, container
    finally:
        docker("rm", "--force", "--volumes", container)


def log_of(container: str) -> str:
    said = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    return said.stdout + said.stderr


@pytest.mark.parametrize(
    ("caddyfile", "told"), [(CADDYFILE, False), (CADDYFILE.replace(FILTER, ""), True)], ids=["as it is", "without its filter"]
)
def test_a_page_that_cannot_be_had_is_logged_without_its_key(tmp_path: Path, caddyfile: str, told: bool) -> None:
    with gateway(tmp_path, caddyfile) as (alone, container):
        answer = httpx.get(f"{alone.origin}/c/{KEY}?page={KEY}", headers={"Referer": KEY}, verify=alone.trust, trust_env=False, timeout=20)
        assert answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
        until(lambda: '"logger":"http.log.error"' in log_of(container), seconds=10, what="a log of the error")
        assert (KEY in log_of(container)) is told
