"""The base of this service's tables, with a registry of its own so that services can share a process."""

from sqlalchemy.orm import registry
from sqlmodel import SQLModel

from shared.db import service_metadata


class Table(SQLModel, registry=registry(metadata=service_metadata())):
    """Base of all tables here. Table models are only ever filled by our own code and never parse input."""
