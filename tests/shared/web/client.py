"""A client of the tiny service that signs its own tokens, and looks into the database behind it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import text

from shared.db import Database

ORIGIN = "http://127.0.0.1:8000"
ISSUER = f"{ORIGIN}/intake"
NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
CLIENT = "clinic-a"
CLINIC = UUID("00000000-0000-4000-8000-00000000000a")
OTHER_CLINIC = UUID("00000000-0000-4000-8000-00000000000b")
NURSE = UUID("00000000-0000-4000-8000-0000000000aa")
SECOND_NURSE = UUID("00000000-0000-4000-8000-0000000000ab")
PRESCRIBER_ELSEWHERE = UUID("00000000-0000-4000-8000-0000000000bb")
KEY = ECKey.generate_key("P-256", {"kid": "first", "use": "sig"})
JWKS = {"keys": [KEY.as_dict(private=False)]}
TABLES = ("public.note", "public.promise", "public.audit_event", "public.idempotency_key", "platform.event_log", "platform.timer")

Json = dict[str, Any]  # Any: JSON values


def claims(**changes: object) -> Json:
    """The claims of a good token of CLIENT; None takes a claim away."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "sub": CLIENT,
        "aud": ["tiny"],
        "iat": now,
        "nbf": now,
        "exp": now + 300,
        "jti": str(uuid4()),
        "kind": "clinic-system",
        "clinic_id": str(CLINIC),
        "scope": "system/Note.c system/Note.ru",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(**changes: object) -> str:
    """A token signed by the issuer."""
    return jwt.encode({"alg": "ES256", "kid": "first"}, claims(**changes), KEY, algorithms=["ES256"])


def bearer(**changes: object) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token(**changes)}"}


OPERATOR = {"kind": "operator", "sub": "operator", "clinic_id": None, "scope": "system/Organization.c"}
SERVICE = {"kind": "service", "sub": "service-followup", "clinic_id": None, "scope": "service/Note.r"}


def note(**changes: object) -> Json:
    """A good body for a new note."""
    return {"patient_id": str(uuid4()), "title": "First infusion", "dose_mg": 35.5, "seen_at": "2026-11-23T09:00:00-05:00", **changes}


@dataclass
class Client:
    """Speaks HTTP for a nurse of CLINIC."""

    http: httpx.AsyncClient
    database: Database
    app: FastAPI

    def headers(self, **given: str) -> dict[str, str]:
        """Good headers, with a new idempotency key; ``X_Y="z"`` sets ``X-Y``, an empty value takes a header away."""
        good = {**bearer(), "Idempotency-Key": str(uuid4()), "Afterglow-Practitioner": str(NURSE)}
        changed = good | {name.replace("_", "-"): value for name, value in given.items()}
        return {name: value for name, value in changed.items() if value}

    async def write_note(self, body: Json | None = None, /, **headers: str) -> httpx.Response:
        return await self.http.post("/tiny/v1/notes", json=body or note(), headers=self.headers(**headers))

    async def send(self, content: bytes, **headers: str) -> httpx.Response:
        """A new note as raw bytes."""
        headers = {"Content-Type": "application/json", **headers}
        return await self.http.post("/tiny/v1/notes", content=content, headers=self.headers(**headers))

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=self.headers(Idempotency_Key="", **headers))

    async def post(self, path: str, body: Json | None = None, /, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body, headers=self.headers(**headers))

    async def rows(self, table: str, clinic_id: UUID = CLINIC) -> list[Json]:
        """All rows of a table that a clinic can see."""
        async with self.database.transaction(clinic_id) as db:
            found = await db.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - one of our own names
            return [dict(row) for row in found.mappings()]

    async def counts(self) -> dict[str, int]:
        """How many rows there are in every table that an operation could write."""
        return {table: len(await self.rows(table)) for table in TABLES if table != "public.promise"}
