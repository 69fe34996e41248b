"""The clinical and legal numbers that intake decides by: data with sources, handed to the use cases."""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

SHIPPED = Path(__file__).with_name("policy.yaml")

Source = Annotated[str, Field(min_length=10)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MinimumAge(_Part):
    years: Count
    source: Source


class Validity(_Part):
    months: Count
    source: Source


class ConsentValidity(_Part):
    treatment: Validity
    messaging: Validity
    disclosure: Validity


class ClockSkew(_Part):
    minutes: Count
    source: Source


class PlannedInfusions(_Part):
    minimum: Count
    maximum: Count
    source: Source


class LikelyDuplicate(_Part):
    similar_names_percent: Annotated[int, Field(ge=50, le=100)]
    source: Source


class Protocols(_Part):
    """Versions by code. followup owns the files; a test holds this list against them, since no service asks another to accept work."""

    known: dict[str, list[Count]]
    source: Source


class Policy(_Part):
    """One version of the rules' numbers."""

    version: Count
    minimum_age: MinimumAge
    consent_validity: ConsentValidity
    clock_skew: ClockSkew
    planned_infusions: PlannedInfusions
    protocols: Protocols
    likely_duplicate: LikelyDuplicate


def load(path: Path = SHIPPED) -> Policy:
    """Read a policy file. Raises pydantic's ValidationError when a number or its source is missing."""
    return Policy.model_validate(yaml.safe_load(path.read_text()))
