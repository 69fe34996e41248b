"""The data folder of the one process: whose it is, who may run on it, and where the operator's key is looked for."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services import embedded
from services.embedded import Embedding
from services.pipeline.cli import pipeline
from shared.settings import UnsafeSettings
from tests.support.ports import free_port


async def test_production_refuses_a_folder_on_which_a_demo_has_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_served(*_: object) -> int:
        return 0

    monkeypatch.setattr(embedded, "_serve", not_served)
    await embedded.run(Embedding(tmp_path, free_port(), free_port(), env="demo"), print)
    with pytest.raises(UnsafeSettings, match="AFTERGLOW_FOLDER: a demo"):
        await embedded.run(Embedding(tmp_path, free_port(), free_port(), env="production"), print)
    assert (tmp_path / ".gitignore").read_text() == "*\n"


def test_the_operators_key_is_looked_for_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFTERGLOW_SECRETS", raising=False)
    monkeypatch.setenv("AFTERGLOW_FOLDER", str(tmp_path / "elsewhere"))
    said = CliRunner().invoke(pipeline, ["--url", "http://127.0.0.1:9", "status"])
    assert said.exit_code != 0
    assert "elsewhere/secrets" in "".join(said.output.split())
