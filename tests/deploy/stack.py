"""The whole stack of docker-compose.yml as a test has it: its own project, secrets, port and image version, all gone afterwards.

Two runs on one machine share nothing but the builder's cache.
"""

import json
import os
import random
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from services import secrets
from services.demo.client import ClinicSystem
from tests.support.commands import Ran

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).parent / "inside"
SERVICES = ("intake", "sessions", "followup")
ONE_SHOTS = ("migrate", "kafka-init")
RUN = os.urandom(4).hex()
"""Names everything that this run makes."""
FIRST, NEXT = f"0.0.1-test-{RUN}", f"0.0.2-test-{RUN}"
"""Versions that no release and no other run has."""
PROJECT = f"afterglow-test-{RUN}"

_UP_SECONDS = 480
_PORTS = range(20000, 32000)
"""Below those that a kernel gives to outgoing connections: a port chosen here is not taken a minute later by one of these."""


@dataclass
class Stack:
    """One installation. ``settings`` are what an operator would write into .env."""

    folder: Path
    project: str
    port: int
    version: str = FIRST
    settings: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ("docker-compose.yml",)

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def trust(self) -> ssl.SSLContext:
        """Trusts the gateway's authority and no other."""
        return ssl.create_default_context(cafile=str(self.secrets / secrets.GATEWAY_CERTIFICATE))

    @property
    def environment(self) -> dict[str, str]:
        """What names this installation to `docker compose`, as `make` names a real one; no file .env of this machine counts."""
        return environment() | {
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": ":".join(str(ROOT / file) for file in self.files),
            "COMPOSE_ENV_FILES": os.devnull,
            "AFTERGLOW_SECRETS": str(self.secrets),
            "AFTERGLOW_PORT": str(self.port),
            "AFTERGLOW_VERSION": self.version,
            **self.settings,
        }

    def compose(self, *arguments: str, stdin: str | None = None, check: bool = True, settings: Mapping[str, str] | None = None) -> Ran:
        """``docker compose`` in this project; with ``check`` a failure is a failure of the test."""
        done = subprocess.run(
            ["docker", "compose", "--ansi", "never", *arguments],
            input=stdin,
            env=self.environment | dict(settings or {}),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"docker compose {' '.join(arguments)} -> {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return Ran(done.returncode, done.stdout, done.stderr)

    def up(self, *parts: str) -> None:
        """Start everything, or these parts, and wait until it is ready."""
        started = self.compose("up", "--detach", "--wait", "--wait-timeout", str(_UP_SECONDS), *parts, check=False)
        if started.code != 0:
            raise AssertionError(f"the stack did not start\n{started.err[-2000:]}\n{self.said(lines=30)}")

    def down(self, *options: str) -> None:
        self.compose("down", "--remove-orphans", "--timeout", "30", *options)

    def said(self, *, lines: int = 100) -> str:
        """How all containers are, and the last lines that each has logged; a service logs about ten in a day without trouble."""
        seen = self.compose("ps", "--all", "--format", "{{.Name}}: {{.Status}}", check=False).out
        logs = self.compose("logs", "--no-color", "--timestamps", "--tail", str(lines), check=False).out
        return f"{seen}\n{logs}"

    def python(self, service: str, script: str, *arguments: str) -> Any:  # Any: what the script printed, as JSON
        """Run a script of ``inside`` in the first container of a service, as that service."""
        ran = self.compose("exec", "-T", service, "python", "-", service, *arguments, stdin=(INSIDE / script).read_text())
        return json.loads(ran.out)

    def containers(self) -> list[dict[str, Any]]:  # Any: as `docker inspect` describes a container
        """All containers of the project, those that have ended too."""
        ids = self.compose("ps", "--all", "--quiet").out.split()
        if not ids:
            return []
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids))  # Any: as above
        return found

    def operator(self) -> ClinicSystem:
        """The operator's client, through the gateway."""
        key = ECKey.import_key(json.loads(secrets.read(self.secrets, "operator-client-key.json")))
        return ClinicSystem(self.origin, secrets.OPERATOR_CLIENT, key, secrets.OPERATOR_SCOPES, self.trust)

    async def registered_clinic(self, *scopes: str) -> tuple[str, ClinicSystem]:
        """A new clinic, and its system as a client of the APIs."""
        operator = self.operator()
        clinic = await operator.post(
            "/intake/v1/clinics",
            {"name": "Harbor Clinic", "time_zone": "America/New_York", "phone": "+12025550143", "sender_name": "Harbor Care"},
        )
        key = ECKey.generate_key("P-384", parameters={"alg": "ES384", "use": "sig", "kid": "clinic-1"}, private=True)
        wanted = {
            "clinic_id": clinic["clinic_id"], "name": "Clinic system", "jwks": {"keys": [key.as_dict(private=False)]},
            "scopes": list(scopes), "may_act_for_practitioners": True,
        }  # fmt: skip
        client = await operator.post("/intake/v1/clients", wanted)
        await operator.close()
        return clinic["clinic_id"], ClinicSystem(self.origin, client["client_id"], key, scopes, self.trust)


def docker(*arguments: str) -> str:
    """What ``docker`` answers."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=120).stdout


def service_of(container: Mapping[str, Any]) -> str:  # Any: as above
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def until(holds: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait for a condition outside this process."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)


def free_port() -> int:
    """A port that nobody listens on; found by chance, so that two runs at once find different ones."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"100 ports of {_PORTS} are in use")


def environment() -> dict[str, str]:
    """This process's, without what an operator sets for a stack."""
    theirs = ("AFTERGLOW_", "FOLLOWUP_", "COMPOSE_", "DEMO", "MAKE")
    return {name: value for name, value in os.environ.items() if not name.startswith(theirs)}


def readable_by_containers() -> None:
    """What `make secrets` sees to: a clone made with umask 077 holds settings that no container can read."""
    for folder in ("gateway", "kafka", "prometheus"):
        for path in (ROOT / "deploy" / folder, *(ROOT / "deploy" / folder).rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
