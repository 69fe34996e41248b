from pydantic import SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.intake.identity.registration import built_in
from services.intake.identity.tokens import SigningKeys
from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Intake's own settings."""

    model_config = SettingsConfigDict(env_prefix="INTAKE_", extra="ignore", frozen=True)

    signing_keys: SecretStr
    """A JSON Web Key Set of private P-256 keys: the first signs access tokens, all are published."""
    built_in_clients: str = "[]"
    """A JSON list of our own services' and the operator's clients, with public keys and scopes; registered at every start."""

    @field_validator("signing_keys")
    @classmethod
    def _usable_keys(cls, value: SecretStr) -> SecretStr:
        SigningKeys(value.get_secret_value())
        return value

    @field_validator("built_in_clients")
    @classmethod
    def _readable_clients(cls, value: str) -> str:
        built_in(value)
        return value

    def secrets(self) -> dict[str, str]:
        """The signing keys must be nobody else's either."""
        return {**super().secrets(), "signing_keys": self.signing_keys.get_secret_value()}
