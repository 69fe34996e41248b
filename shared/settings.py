"""Settings of a service, from the environment or from secret files, and what production refuses.

``AFTERGLOW_ENV`` unset means production. Every variable may be given as ``<NAME>_FILE``, the path of a file that holds the value.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from shared import failpoints

EXIT_UNSAFE = 78
"""Exit code of a start that was refused for its configuration (EX_CONFIG)."""

MIN_SECRET_BYTES = 32


LogLevel = Literal["DEBUG", "INFO", "WARNING"]
LOG_LEVELS: tuple[str, ...] = get_args(LogLevel)


class UnsafeSettings(Exception):
    """Production must not start like this. ``setting`` names the variable, never its value."""

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(f"{setting}: {why}")
        self.setting = setting
        self.why = why


def refuse(refusals: Iterable[UnsafeSettings]) -> None:
    """Raise them as one that names them all, so that nobody mends one at each start; nothing where there are none."""
    each = list({str(refusal): refusal for refusal in refusals}.values())
    if each:
        raise UnsafeSettings(each[0].setting, "; ".join([each[0].why, *map(str, each[1:])]))


def _is_public_origin(url: str) -> bool:
    """A scheme, a host and perhaps a port: links and the pages' own forms are made of it, so it has no path."""
    parts = urlsplit(url)
    return parts.scheme == "https" and url == f"https://{parts.netloc}" and parts.hostname not in (None, "", "localhost")


def _what_fits(error: ErrorDetails) -> str:
    """What may stand in a variable. Pydantic's messages name what is wanted, not what was given."""
    return "is missing" if error["type"] == "missing" else error["msg"].removeprefix("Value error, ").replace("Input should", "it should")


class _SecretFiles(PydanticBaseSettingsSource):
    """Values from the files named by ``<PREFIX><NAME>_FILE``."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # Any: as pydantic-settings declares
        variable = f"{self.config.get('env_prefix', '')}{field_name}_FILE".upper()
        path = os.environ.get(variable)
        try:
            return (Path(path).read_text().strip() if path else None), field_name, False
        except OSError as error:
            raise UnsafeSettings(variable, f"the file cannot be read ({type(error).__name__})") from error

    def __call__(self) -> dict[str, Any]:  # Any: as declared by pydantic-settings
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class ServiceSettings(BaseSettings):
    """What every service needs to run. A service's own class adds its settings and its ``env_prefix``."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    env: Annotated[Literal["production", "demo", "test"], Field(validation_alias="AFTERGLOW_ENV")] = "production"
    public_url: Annotated[str, Field(validation_alias="AFTERGLOW_PUBLIC_URL")] = "https://localhost"
    """Origin under which clinic systems and patients reach the installation; also the issuer of tokens."""
    clock: Annotated[str, Field(validation_alias="AFTERGLOW_CLOCK")] = ""
    """Empty for the system's clock; an accelerated one only in a demo."""
    log_level: Annotated[LogLevel, Field(validation_alias="AFTERGLOW_LOG_LEVEL")] = "INFO"
    kafka_bootstrap: Annotated[str, Field(validation_alias="AFTERGLOW_KAFKA_BOOTSTRAP")] = ""

    database_password: SecretStr = SecretStr("")
    """Becomes part of ``database_url``, which may then be given without one."""
    database_url: SecretStr
    database_pool_size: int = 10
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_instance_id: str = ""
    """Stable name of this process in its consumer group, only where it survives restarts and is unique among the living."""
    kafka_session_timeout_ms: int = 10_000
    events_of_a_key_in_a_minute: Annotated[int, Field(ge=1)] = 120
    """Handled at once; what is more waits in the car park and is taken up later. A visit tells about five events of its patient, and a
    whole course entered afterwards about a hundred: two a second for a minute is a faulty import, or an attack."""
    event_ahead_hours: Annotated[int, Field(ge=1)] = 24
    """An event whose time lies further ahead is parked. Clocks that are more than 2 s apart make a service not ready."""
    event_behind_days: Annotated[int, Field(ge=1)] = 730
    """An event whose time lies further back is parked. Raise it to read a log anew that is older."""
    cursor_key: SecretStr
    """Seals paging cursors and, by a key derived for that, stored answers; at least 32 bytes, shared by the replicas of one service."""
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    ops_host: str = "127.0.0.1"
    ops_port: int = 9000
    """Health and metrics; never published."""
    intake_url: Annotated[str, Field(validation_alias="AFTERGLOW_INTAKE_URL")] = "http://127.0.0.1:8001"
    """Where the other services reach intake: its JWKS and its directory."""

    @field_validator("public_url", "intake_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _with_password(cls, value: SecretStr, given: ValidationInfo) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except ArgumentError:
            raise ValueError("not a URL") from None
        password: SecretStr = given.data["database_password"]
        return SecretStr(url.set(password=password.get_secret_value() or url.password).render_as_string(hide_password=False))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SecretFiles(settings_cls)

    @classmethod
    def read(cls) -> Self:
        """The settings of this process. Raises UnsafeSettings that names each variable which is missing or malformed, never its value."""
        try:
            return cls()
        except ValidationError as invalid:
            refuse(UnsafeSettings(cls._variable(str(error["loc"][0])), _what_fits(error)) for error in invalid.errors())
            raise

    @classmethod
    def _variable(cls, field: str) -> str:
        """As an operator types it. ``field`` is a field's name, or what stands in the environment for it."""
        return field if field.isupper() else f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @property
    def token_issuer(self) -> str:
        """``iss`` of every access token."""
        return f"{self.public_url}/intake"

    def secrets(self) -> dict[str, str]:
        """Every secret that must be long, unique and unknown, by its setting's name. A service adds its own."""
        held = {
            "cursor_key": self.cursor_key.get_secret_value(),
            "database_password": make_url(self.database_url.get_secret_value()).password or "",
        }
        return held | ({"kafka_password": self.kafka_password.get_secret_value()} if self.kafka_bootstrap else {})

    def refuse_unsafe(self) -> None:
        """Raise UnsafeSettings for all that production must not run with."""
        refuse(self.refusals())

    def refusals(self) -> Iterator[UnsafeSettings]:
        """Each thing that production must not run with. A service adds its own."""
        if self.env != "production":
            return
        if failpoints.active():
            yield UnsafeSettings("AFTERGLOW_FAILPOINTS", "faults are injected in tests only")
        if self.clock:
            yield UnsafeSettings("AFTERGLOW_CLOCK", "production runs on the system's clock")
        if not _is_public_origin(self.public_url):
            yield UnsafeSettings(
                "AFTERGLOW_PUBLIC_URL", "must be the https:// origin that patients open, without a path, such as https://care.example.org"
            )
        if self.log_level == "DEBUG":
            yield UnsafeSettings("AFTERGLOW_LOG_LEVEL", "DEBUG is not for production")
        if self.kafka_bootstrap and not self.kafka_username:
            yield UnsafeSettings(self._variable("kafka_username"), "production speaks to Kafka as a named principal")
        yield from self._weak_secrets()

    def _weak_secrets(self) -> Iterator[UnsafeSettings]:
        seen: dict[str, str] = {}
        for name, value in ((self._variable(field), value) for field, value in self.secrets().items()):
            if len(value.encode()) < MIN_SECRET_BYTES or len(set(value)) < 8:
                yield UnsafeSettings(name, f"needs at least {MIN_SECRET_BYTES} random bytes")
            elif value.lower().startswith(("demo", "change", "secret", "password", "example")):
                yield UnsafeSettings(name, "is a demo or default value")
            elif value in seen:
                yield UnsafeSettings(name, f"has the same value as {seen[value]}")
            seen[value] = name
