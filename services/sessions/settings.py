"""Settings of the sessions service."""

from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing beyond what every service needs; each variable is prefixed with ``SESSIONS_``."""

    model_config = SettingsConfigDict(env_prefix="SESSIONS_")
