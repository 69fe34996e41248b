from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, ForeignKeyConstraint, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.intake.identity.rules import ClientKind
from services.intake.tables import Table, code_column
from shared.db import utc_column
from shared.errors import Conflict
from shared.events.intake import ClientChanged


class RegisteredClient(Table, table=True):
    """A machine client with its public keys. Outside row-level security: the token endpoint must find it before any clinic is known."""

    __tablename__ = "registered_client"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinic.clinic_id"]),
        Index("ix_registered_client_clinic_id", "clinic_id"),
        {"schema": "platform"},
    )

    client_id: str = Field(primary_key=True)
    kind: ClientKind = Field(sa_column=code_column(ClientKind))
    clinic_id: UUID | None = None
    name: str
    jwks: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))  # Any: JSON
    scopes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    may_act_for_practitioners: bool = False
    active: bool = True
    version: int = 1
    registered_at: datetime = Field(sa_column=utc_column())
    registered_by: str
    disabled_at: datetime | None = Field(default=None, sa_column=utc_column(nullable=True))
    disabled_by: str | None = None

    def disable(self, at: datetime, by: str) -> ClientChanged:
        """Give it no more tokens, and tell the services to refuse those it has. Raises Conflict when it is disabled already."""
        if not self.active:
            raise Conflict("state", "The client is disabled already.", extra={"state": "disabled", "allowed": []})
        self.active, self.disabled_at, self.disabled_by = False, at, by
        self.version += 1
        return self.changed(at)

    def changed(self, at: datetime) -> ClientChanged:
        """The whole current state, as far as the services need it at every request."""
        return ClientChanged(
            occurred_at=at,
            client_id=self.client_id,
            client_version=self.version,
            active=self.active,
            may_act_for_practitioners=self.may_act_for_practitioners,
        )


class UsedAssertion(Table, table=True):
    """An assertion that was taken once; kept until it would have expired anyway."""

    __tablename__ = "used_assertion"
    __table_args__ = (Index("ix_used_assertion_expires_at", "expires_at"), {"schema": "platform"})

    client_id: str = Field(primary_key=True)
    jti: str = Field(primary_key=True)
    expires_at: datetime = Field(sa_column=utc_column())
