"""A refused start names each variable as an operator types it and says what may stand there, never what stood there."""

import pytest
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings, UnsafeSettings

SAFE = {
    "AFTERGLOW_PUBLIC_URL": "https://care.example.org",
    "PARCEL_DATABASE_URL": "postgresql+asyncpg://parcel:dW8eR4tY1uI6oP3aS9fG5hJ2kL7zX0cV@127.0.0.1/parcel",
    "PARCEL_CURSOR_KEY": "pZ3nV8qK1tR6wY4uB9mD2sF7hJ5gL0xC",
}


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="PARCEL_")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in SAFE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal() -> str:
    with pytest.raises(UnsafeSettings) as refused:
        Settings.read().refuse_unsafe()
    return str(refused.value)


def test_what_is_safe_is_read(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AFTERGLOW_PUBLIC_URL", "https://care.example.org:8443/")
    settings = Settings.read()
    settings.refuse_unsafe()
    assert settings.public_url == "https://care.example.org:8443"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PARCEL_HTTP_PORT", "abc-7f3", "PARCEL_HTTP_PORT: it should be a valid integer, unable to parse string as an integer"),
        ("PARCEL_EVENT_AHEAD_HOURS", "0", "PARCEL_EVENT_AHEAD_HOURS: it should be greater than or equal to 1"),
        ("PARCEL_DATABASE_URL", "nonsense", "PARCEL_DATABASE_URL: not a URL"),
        ("AFTERGLOW_ENV", "staging", "AFTERGLOW_ENV: it should be 'production', 'demo' or 'test'"),
        ("AFTERGLOW_LOG_LEVEL", "loud", "AFTERGLOW_LOG_LEVEL: it should be 'DEBUG', 'INFO' or 'WARNING'"),
        ("PARCEL_CURSOR_KEY", "short", "PARCEL_CURSOR_KEY: needs at least 32 random bytes"),
    ],
)
def test_a_variable_is_refused_as_it_is_typed_with_what_may_stand_there(
    environment: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    environment.setenv(variable, value)
    assert refusal() == told


def test_all_that_is_missing_or_malformed_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("PARCEL_CURSOR_KEY")
    environment.setenv("PARCEL_OPS_PORT", "abc")
    told = refusal()
    assert "PARCEL_CURSOR_KEY: is missing" in told
    assert "PARCEL_OPS_PORT: it should be a valid integer" in told


@pytest.mark.parametrize(
    "url",
    [
        "http://care.example.org",
        "https://localhost",
        "https://care.example.org/x",
        "https://care.example.org?x=1",
        "https://care.example.org#x",
        "https://",
        "care.example.org",
    ],
)
def test_links_are_made_of_an_origin_that_patients_can_open_and_of_nothing_more(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("AFTERGLOW_PUBLIC_URL", url)
    assert refusal().startswith("AFTERGLOW_PUBLIC_URL: must be the https:// origin that patients open, without a path")
