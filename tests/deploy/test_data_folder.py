"""The data folder of the one process: whose it is, who may run on it, and where the operator's key is looked for."""

import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from services import embedded
from services.demo.embedded_product import EmbeddedProduct
from services.demo.product import ProductFailed
from services.embedded import Embedding
from services.pipeline.cli import pipeline
from shared.settings import UnsafeSettings
from tests.support.ports import free_port

Started = Callable[[str], Awaitable[int]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: another pytest that starts closes the folders above it to the user that PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="afterglow-data-") as name:
        yield Path(name)


@pytest.fixture
def started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """A start of this environment on the folder, up to where it would serve."""

    async def not_served(*_: object) -> int:
        return 0

    monkeypatch.setattr(embedded, "_serve", not_served)
    monkeypatch.setenv("FOLLOWUP_SMTP_HOST", "mail.afterglow.example")
    monkeypatch.setenv("FOLLOWUP_SMTP_SENDER", "care@afterglow.example")

    async def start(env: str) -> int:
        return await embedded.run(Embedding(folder, free_port(), free_port(), env=env, public_url="https://afterglow.example"), print)

    return start


def held(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_production_refuses_a_folder_on_which_a_demo_has_run(folder: Path, started: Started) -> None:
    await started("demo")
    with pytest.raises(UnsafeSettings, match="AFTERGLOW_FOLDER: a demo"):
        await started("production")
    assert (folder / ".gitignore").read_text() == "*\n"
    assert await started("demo") == 0


async def test_a_demo_refuses_productions_folder_and_leaves_it_as_it_is(folder: Path, started: Started) -> None:
    await started("production")
    before = held(folder)
    for env in ("demo", "test"):
        with pytest.raises(UnsafeSettings, match=f"AFTERGLOW_FOLDER: {folder} is production's, and AFTERGLOW_ENV says {env}; give another"):
            await started(env)
    with pytest.raises(ProductFailed, match=f"{folder} is production's"):
        await EmbeddedProduct(Embedding(folder, free_port(), free_port(), env="demo")).prepare()
    assert held(folder) == before
    assert await started("production") == 0


async def test_a_database_of_a_release_without_marks_is_productions(folder: Path, started: Started) -> None:
    (folder / "postgres").mkdir()
    with pytest.raises(UnsafeSettings, match="is production's"):
        await started("demo")
    assert not (folder / "not-for-production").exists()


async def test_a_folder_that_was_prepared_for_a_demo_is_the_demos(folder: Path, started: Started) -> None:
    await embedded.prepare(Embedding(folder, env="demo"))
    with pytest.raises(UnsafeSettings, match="AFTERGLOW_FOLDER: a demo"):
        await started("production")
    assert await started("demo") == 0


@pytest.mark.parametrize("env", ["production", "staging"])
async def test_a_start_that_is_refused_makes_the_folder_nobodys(
    folder: Path, started: Started, monkeypatch: pytest.MonkeyPatch, env: str
) -> None:
    monkeypatch.delenv("FOLLOWUP_SMTP_HOST")
    with pytest.raises((UnsafeSettings, ValidationError)):
        await started(env)
    assert not {"for-production", "not-for-production"} & held(folder)


def test_the_operators_key_is_looked_for_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFTERGLOW_SECRETS", raising=False)
    monkeypatch.setenv("AFTERGLOW_FOLDER", str(tmp_path / "elsewhere"))
    said = CliRunner().invoke(pipeline, ["--url", "http://127.0.0.1:9", "status"])
    assert said.exit_code != 0
    assert "elsewhere/secrets" in "".join(said.output.split())
