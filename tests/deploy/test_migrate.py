"""The first part of a start that meets data of another installation says so, where a person looks for it."""

import asyncio
import sys
from pathlib import Path

from sqlalchemy import make_url

from shared.settings import EXIT_UNSAFE
from tests.deploy.stack import ROOT
from tests.support.databases import Databases


async def test_data_that_was_made_with_other_secrets_is_refused_by_the_name_of_the_secret(databases: Databases, tmp_path: Path) -> None:
    """As where a clone was made anew and the volumes are those of the old one."""
    (tmp_path / "postgres-admin-password").write_text("of-another-installation")
    host = str(make_url(databases.server.url("postgres", "", "postgres")).query["host"])
    migrate = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", "migrate", "--host", host, "--folder", str(tmp_path),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await migrate.communicate()
    assert migrate.returncode == EXIT_UNSAFE
    (line,) = said.decode().splitlines()
    assert line.startswith("Refused to start. postgres-admin-password: the data of PostgreSQL was made with another")
