"""Settings of the one process that are refused are named, before anything is made."""

from pathlib import Path

import pytest

from shared.settings import EXIT_UNSAFE
from tests.support.commands import afterglow


async def test_an_unknown_log_level_is_refused_by_the_name_of_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    for name, value in (
        ("AFTERGLOW_ENV", "production"), ("AFTERGLOW_LOG_LEVEL", "debug"), ("AFTERGLOW_PUBLIC_URL", "https://care.example.org"),
        ("FOLLOWUP_SMTP_HOST", "mail.example.org"), ("FOLLOWUP_SMTP_SENDER", "care@example.org"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    ended = await afterglow("--folder", str(folder))
    assert ended.code == EXIT_UNSAFE
    assert "AFTERGLOW_LOG_LEVEL" in ended.err
    assert "Traceback" not in ended.err
    assert not (folder / "postgres").exists()
