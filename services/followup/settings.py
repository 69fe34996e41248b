"""Followup's own settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings, UnsafeSettings


class Settings(ServiceSettings):
    """What followup needs beyond every service's settings."""

    model_config = SettingsConfigDict(env_prefix="FOLLOWUP_", extra="ignore", frozen=True)

    client_id: str = "followup"
    client_key: SecretStr
    """Private JSON Web Key (P-384) with which followup asks intake for its own access token."""
    sessions_url: str = "http://127.0.0.1:8002"
    """Where sessions answers the completeness audit."""
    link_secret: SecretStr
    """Patients' links are derived from it; at least 32 bytes. A new value ends every link that is out."""
    outbox_folder: Path | None = None
    """Messages become files here instead of leaving; for demos and tests only."""
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_sender: str = ""
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Literal["starttls", "implicit", "none"] = "starttls"
    outreach_lease_seconds: float = 60.0
    """How long one process may take over one message, in real time."""
    audit_every_seconds: float = 60.0
    """How often completeness is audited, in real time."""
    audit_look_back_days: float = 7.0
    """How far back a look goes, in business time; what is missing is looked for until it is found."""
    audit_grace_seconds: float = 120.0
    """How long an infusion may have ended before its follow-up is missed, in business time."""

    def secrets(self) -> dict[str, str]:
        """The link secret and the client's key must be nobody else's either."""
        own = {"link_secret": self.link_secret.get_secret_value(), "client_key": self.client_key.get_secret_value()}
        return {**super().secrets(), **own}

    def refusals(self) -> Iterator[UnsafeSettings]:
        """Production hands messages to a mail server, over TLS."""
        yield from super().refusals()
        if self.env != "production":
            return
        if self.outbox_folder is not None:
            yield UnsafeSettings("FOLLOWUP_OUTBOX_FOLDER", "messages to patients would end in a folder")
        if not self.smtp_host or not self.smtp_sender:
            yield UnsafeSettings("FOLLOWUP_SMTP_HOST", "needs the mail server and FOLLOWUP_SMTP_SENDER the address that messages come from")
        elif "@" not in self.smtp_sender or not self.smtp_sender.isascii():
            yield UnsafeSettings("FOLLOWUP_SMTP_SENDER", "is no mail address in ASCII; other letters of a domain are written as xn--")
        if self.smtp_username and not self.smtp_password.get_secret_value():
            yield UnsafeSettings("FOLLOWUP_SMTP_USERNAME", "comes with FOLLOWUP_SMTP_PASSWORD_FILE")
        if self.smtp_tls == "none":
            yield UnsafeSettings("FOLLOWUP_SMTP_TLS", "mail leaves over TLS only")
