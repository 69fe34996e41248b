"""The whole stack with two replicas of each service, in production settings: ready, contained, and working through its gateway."""

import asyncio
import json
import ssl

import httpx
import pytest

from services import secrets
from tests.deploy.stack import ONE_SHOTS, SERVICES, Stack, docker, service_of, until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

READING = ("system/Procedure.r", "system/Task.r", "system/Patient.r")


def test_two_replicas_of_each_service_are_ready(stack: Stack) -> None:
    ready = [service_of(container) for container in stack.containers() if container["State"].get("Health", {}).get("Status") == "healthy"]
    assert sorted(ready) == sorted([*SERVICES, *SERVICES, "gateway", "postgres", "kafka"])
    ended = {service_of(container): container["State"]["ExitCode"] for container in stack.containers() if not container["State"]["Running"]}
    assert ended == dict.fromkeys(ONE_SHOTS, 0)


def test_every_container_runs_as_the_list_says(stack: Stack) -> None:
    for container in stack.containers():
        host = container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] not in {"", "0", "root"}
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        assert "no-new-privileges:true" in host["SecurityOpt"]
        published = [binding for bindings in (host["PortBindings"] or {}).values() for binding in bindings]
        assert published == ([{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}] if service_of(container) == "gateway" else [])


@pytest.mark.parametrize("part", [*SERVICES, "gateway", "postgres", "kafka"])
def test_a_process_has_no_capability_and_cannot_write_where_it_lives(stack: Stack, part: str) -> None:
    said = stack.compose(
        "exec", "-T", part, "sh", "-c", "id -u; grep CapEff /proc/1/status; touch /usr/probe 2>&1; touch /probe 2>&1; true"
    )
    user, capabilities, *refusals = said.out.splitlines()
    assert user != "0"
    assert capabilities.split()[-1] == "0000000000000000"
    assert len([line for line in refusals if "Read-only file system" in line]) == 2


def test_the_gateway_is_trusted_by_its_own_authority_only(stack: Stack) -> None:
    with (
        httpx.Client(verify=stack.trust, trust_env=False) as clients,
        httpx.Client(verify=ssl.create_default_context(), trust_env=False) as others,
    ):
        assert clients.get(f"{stack.origin}/intake/.well-known/jwks.json").json()["keys"][0]["alg"] == "ES256"
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            others.get(f"{stack.origin}/intake/.well-known/jwks.json")
        assert clients.get(f"http://127.0.0.1:{stack.port}/intake/.well-known/jwks.json").status_code == httpx.codes.BAD_REQUEST


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/intake/.well-known/smart-configuration", 200),
        ("/sessions/v1/infusions", 401),
        ("/followup/v1/tasks/counts", 401),
        ("/c/unknown-key", 410),
        ("/", 404),
        ("/cats", 404),
        ("/readyz", 404),
        ("/metrics", 404),
        ("/intake/metrics", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
    ],
)
def test_the_gateway_lets_through_what_is_public_and_nothing_else(stack: Stack, path: str, status: int) -> None:
    answer = httpx.get(f"{stack.origin}{path}", verify=stack.trust, trust_env=False)
    assert answer.status_code == status
    assert {"server", "via"} & answer.headers.keys() == set()


def test_another_host_is_not_served(stack: Stack) -> None:
    answer = httpx.get(
        f"{stack.origin}/intake/.well-known/jwks.json", headers={"Host": "elsewhere.example"}, verify=stack.trust, trust_env=False
    )
    assert answer.status_code == httpx.codes.MISDIRECTED_REQUEST


def test_tokens_are_issued_in_the_name_of_the_public_origin(stack: Stack) -> None:
    told = httpx.get(f"{stack.origin}/intake/.well-known/smart-configuration", verify=stack.trust, trust_env=False).json()
    assert told["issuer"] == f"{stack.origin}/intake"
    assert told["token_endpoint"] == f"{stack.origin}/intake/oauth/token"


async def test_a_clinic_that_is_registered_is_known_to_every_service(stack: Stack) -> None:
    """A clinic system's token is good everywhere: keys came from intake inside the network, its registration over Kafka."""
    _, system = await stack.registered_clinic(*READING)
    assert await system.get("/intake/v1/patients") == {"items": [], "next": None}
    assert await system.get("/sessions/v1/infusions") == {"items": [], "next": None}
    assert await system.get("/followup/v1/plans") == {"items": [], "next": None}
    await system.close()


async def test_a_replica_that_is_killed_is_not_missed(stack: Stack) -> None:
    _, system = await stack.registered_clinic(*READING)
    victim = next(container["Id"] for container in stack.containers() if service_of(container) == "sessions")
    await asyncio.to_thread(docker, "kill", "--signal", "KILL", victim)
    for _ in range(10):
        assert await system.get("/sessions/v1/infusions") == {"items": [], "next": None}
    await system.close()
    await asyncio.to_thread(docker, "start", victim)
    await asyncio.to_thread(stack.up, "sessions")


async def test_the_key_to_a_patients_page_is_in_no_log(stack: Stack) -> None:
    key = "canary-of-a-patients-page-0123456789"
    async with httpx.AsyncClient(base_url=stack.origin, verify=stack.trust, trust_env=False) as patient:
        assert (await patient.get(f"/c/{key}")).status_code == httpx.codes.GONE
        too_much = await patient.post(f"/c/{key}", content=b"x" * 2_000_000, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert not too_much.is_success
    logs = await asyncio.to_thread(stack.compose, "logs", "--no-color")
    assert key not in logs.out
    assert '"event": "serve.listening"' in logs.out


def test_prometheus_finds_every_replica(stack: Stack) -> None:
    stack.compose("--profile", "observability", "up", "--detach", "--wait", "--no-deps", "prometheus")
    asked = ("--profile", "observability", "exec", "-T", "prometheus", "promtool", "query", "instant", "http://127.0.0.1:9090")
    try:
        until(lambda: "=> 6 " in stack.compose(*asked, "count(up == 1)").out, seconds=60, what="six targets that are up")
        assert 'service="followup"' in stack.compose(*asked, "afterglow_consumer_lag").out
    finally:
        stack.compose("--profile", "observability", "rm", "--force", "--stop", "prometheus")


def test_no_password_is_in_a_log_or_in_the_description_of_a_container(stack: Stack) -> None:
    said = stack.compose("logs", "--no-color").out + json.dumps(stack.containers())
    files = [file for file in stack.secrets.iterdir() if file.name.endswith(("-password", "-secret", "-key"))]
    held = {file.name: value for file in files if (value := file.read_text().strip())}
    assert len(held) > 10
    assert [name for name, value in held.items() if value in said] == []


def test_made_secrets_can_be_read_by_their_owner_only(stack: Stack) -> None:
    assert stack.secrets.stat().st_mode & 0o777 == 0o700
    assert (stack.secrets / "operator-client-key.json").stat().st_mode & 0o777 == 0o600
    assert secrets.generate_for_containers(stack.secrets) == []
