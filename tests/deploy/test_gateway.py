"""The gateway alone: its log keeps the key of a patient's page to itself, and it sends nothing twice; the tests can tell."""

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


BREAKS_OFF = """
http://:8000 {
	log
	abort
}
"""
"""A service that takes every request and ends the connection without an answer: nobody knows what it has done."""
SAYS_WHO_ASKED = """
http://:8000 {
	respond "{header.X-Forwarded-For}"
}
"""
"""A service that answers with what it was told of the client's address."""
CAREFUL = "\tlb_try_duration 5s\n"
CARELESS = f"{CAREFUL}\tlb_retry_match method POST\n"


@contextmanager
def gateway(folder: Path, caddyfile: str) -> Iterator[tuple[Stack, str]]:
    """A gateway with nothing behind it but itself, as talkative as it can be; its container's id."""
    secrets.generate_for_containers(folder / "secrets")
    (folder / "Caddyfile").write_text(caddyfile.replace("level WARN", "level DEBUG"))
    alone = Stack(folder, "", free_port())
    mounts = ["--volume", f"{folder}/Caddyfile:/etc/caddy/Caddyfile:ro", "--volume", f"{alone.secrets}:/run/secrets:ro"]
    options = ["--detach", "--env", "GATEWAY_HOST=127.0.0.1", "--publish", f"127.0.0.1:{alone.port}:8443", *mounts]
    options += ["--add-host", "followup:127.0.0.1"]
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


@pytest.mark.parametrize(
    ("caddyfile", "once"), [(CADDYFILE, True), (CADDYFILE.replace(CAREFUL, CARELESS), False)], ids=["as it is", "careless"]
)
def test_what_may_have_had_an_effect_is_not_sent_again(tmp_path: Path, caddyfile: str, once: bool) -> None:
    with gateway(tmp_path, caddyfile + BREAKS_OFF) as (alone, container):
        headers = {"Idempotency-Key": '"one"'}
        answer = httpx.post(f"{alone.origin}/followup/v1/tasks", json={}, headers=headers, verify=alone.trust, trust_env=False, timeout=20)
        assert answer.status_code == httpx.codes.BAD_GATEWAY
        until(lambda: taken_by_the_service(container) > 0, seconds=10, what="a request that the service took")
        assert (taken_by_the_service(container) == 1) is once


def test_a_service_is_told_the_clients_address_by_an_edge_and_by_nobody_else(tmp_path: Path) -> None:
    with gateway(tmp_path, CADDYFILE + SAYS_WHO_ASKED) as (alone, _):
        told = {
            sent: httpx.get(f"{alone.origin}/c", headers={"X-Forwarded-For": sent}, verify=alone.trust, trust_env=False, timeout=20).text
            for sent in ("8.8.8.8", "6.6.6.6, 8.8.8.8")
        }
    # This test asks from this machine, as an edge does: what it was told goes on, with this machine's address behind it.
    assert {sent: addresses.rpartition(", ")[0] for sent, addresses in told.items()} == {sent: sent for sent in told}


def taken_by_the_service(container: str) -> int:
    """How many requests the service behind the gateway has taken."""
    return log_of(container).count('"logger":"http.log.access')
