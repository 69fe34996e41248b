"""docs/operations.md as a list of commands, and an installation of its own in which they are typed as they stand there."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.deploy.stack import INSIDE, ROOT, Stack, environment
from tests.support.commands import Ran

PAGE = ROOT / "docs/operations.md"
BEFORE = "Before you type"
_LEFT_OUT = (".git", ".venv", "node_modules", "secrets", "afterglow-*", "__pycache__", ".*_cache", ".hypothesis", ".env")
_ADMIN = "org.apache.kafka.common.security.scram.ScramLoginModule required username=admin password="


class Command(NamedTuple):
    """One line of the page, and the heading that it stands under."""

    section: str
    line: str


def commands(page: str) -> Iterator[Command]:
    """Every line of every block that is marked as typed."""
    section, typed = "", False
    for line in page.splitlines():
        if line.startswith("```"):
            typed = line == "```sh"
        elif typed:
            yield Command(section, line)
        elif heading := re.match(r"#+ (.*)", line):
            section = heading[1]


def sections(page: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)


@dataclass
class Installation(Stack):
    """A copy of the project with a .env, where nothing else on this machine is in the way."""

    examples: dict[str, str] = field(default_factory=dict)
    """What to type in place of an example of the page."""

    @classmethod
    def made(cls, folder: Path, project: str, port: int, version: str) -> "Installation":
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True)
        os.utime(folder / "requirements-embedded.lock", (0, 0))
        (folder / ".venv").symlink_to(ROOT / ".venv")
        settings = {
            "COMPOSE_PROJECT_NAME": project, "AFTERGLOW_PORT": port, "AFTERGLOW_VERSION": version,
            "FOLLOWUP_SMTP_HOST": "mail.invalid", "FOLLOWUP_SMTP_SENDER": "care@example.org",
        }  # fmt: skip
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return cls(folder, project, port, version, examples={"8443": str(port)})

    @property
    def secrets(self) -> Path:
        return self.folder / "deploy/secrets"

    def typed(self, line: str) -> Ran:
        """What a shell says to a line of the page, after what is typed before all others."""
        before = [command.line for command in commands(PAGE.read_text()) if command.section == BEFORE]
        script = "\n".join([*before, line])
        for example, real in self.examples.items():
            script = script.replace(example, real)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def compose(self, *arguments: str, stdin: str | None = None, check: bool = True, settings: Mapping[str, str] | None = None) -> Ran:
        """``docker compose`` as it is typed here."""
        done = subprocess.run(
            ["docker", "compose", "--profile", "observability", *arguments],
            cwd=self.folder, env=environment() | dict(settings or {}), input=stdin or "", capture_output=True, text=True, check=False,
            timeout=600,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"docker compose {' '.join(arguments)}: {done.stderr[-3000:]}"
        return Ran(done.returncode, done.stdout, done.stderr)

    def json(self, line: str) -> Any:  # Any: a decoded JSON document
        """What a command answers a machine."""
        ran = self.typed(f"{line} --json")
        return json.loads(ran.out)

    def sql(self, database: str, statement: str) -> str:
        """What the database's administrator is answered."""
        command = (
            f"PGPASSWORD=$(cat /run/secrets/postgres-admin-password) psql -h 127.0.0.1 -U postgres -d {database} -qAt -v ON_ERROR_STOP=1"
        )
        return self.compose("exec", "-T", "postgres", "sh", "-c", command, stdin=statement).out.strip()

    def told_wrongly(self, count: int, *, partition: int) -> None:
        """Records that are no events, as sessions' own defect would write them."""
        script = (INSIDE / "no_events.py").read_text()
        self.compose("exec", "-T", "sessions", "python", "-", str(partition), str(count), stdin=script)

    def delete_records(self, topic: str, partition: int) -> None:
        """What retention does: everything that is in a partition now is gone."""
        script = f"""
            cat >/tmp/admin.properties <<P
            security.protocol=SASL_PLAINTEXT
            sasl.mechanism=SCRAM-SHA-512
            sasl.jaas.config={_ADMIN}"$(cat /run/secrets/kafka-admin-password)";
            P
            echo '{{"partitions": [{{"topic": "{topic}", "partition": {partition}, "offset": -1}}], "version": 1}}' >/tmp/delete.json
            /opt/kafka/bin/kafka-delete-records.sh --bootstrap-server kafka:9092 --command-config /tmp/admin.properties \\
                --offset-json-file /tmp/delete.json
        """
        lines = "\n".join(line.strip() for line in script.splitlines())
        self.compose("exec", "-T", "kafka", "bash", "-ec", lines)


def waited(ask: Callable[[], Ran], holds: Callable[[Ran], bool], *, seconds: float, what: str) -> Ran:
    """Ask again until the answer is as it should be."""
    deadline = time.monotonic() + seconds
    while not holds(ran := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s; at the end {described(ran)}"
        time.sleep(1)
    return ran


def described(ran: Ran) -> str:
    """An answer, for who reads why a test failed."""
    return f"exit code {ran.code}\n{ran.out[-3000:]}\n{ran.err[-3000:]}"
