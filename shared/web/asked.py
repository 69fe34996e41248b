"""What a request asks for by its headers, address and body, all of it checked before the database is touched."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request

from shared import versions
from shared.errors import Invalid, Malformed
from shared.security.audit import Record
from shared.security.caller import OUTSIDE_CLINICS, Caller
from shared.web import idempotency, strict_values, text
from shared.web.bodies import BodyCodec


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operation reads of a request."""

    body: BodyCodec
    query_names: Collection[str]
    repeatable: Collection[str]
    """Of those the ones that may be there several times."""
    takes_body: bool
    needs_key: bool
    needs_version: bool
    ignores_unknown_query: bool
    """For addresses that come by mail: programs on the way add parameters of their own to them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A readable request. ``document`` is the parsed body, ``claim`` the idempotency key where one is needed.

    ``caller`` is None where only the database can tell who that is; its clinic is not known then either.
    """

    caller: Caller | None
    clinic_id: UUID
    practitioner_id: UUID | None
    if_match: int | None
    claim: idempotency.Claim | None
    body: bytes
    document: object

    @property
    def known_caller(self) -> Caller:
        """Who a token named. Raises LookupError where there was none, which is a mistake of ours."""
        if self.caller is None:
            raise LookupError("the credential has named nobody")
        return self.caller


async def read(request: Request, caller: Caller | None, wanted: Wanted) -> Asked:
    """Read a request. Raises 400, 408, 413, 415, 422 or 428. A POST that only reads needs no idempotency key."""
    practitioner_id = practitioner_of(request) if caller is not None and caller.kind == "clinic-system" else None
    clinic_id = clinic_of(request, caller) if caller is not None else OUTSIDE_CLINICS
    if_match = versions.if_match(request.headers.get("if-match"))
    if wanted.needs_version and if_match is None:
        raise versions.required()
    _check_query(request, wanted)
    body, document = await _body(request, wanted)
    claim = idempotency.claim_of(request, body) if wanted.needs_key else None
    return Asked(caller, clinic_id, practitioner_id, if_match, claim, body, document)


def practitioner_of(request: Request) -> UUID | None:
    """The person for whom the caller says it acts. Raises Malformed."""
    return _uuid_header(request, "Afterglow-Practitioner")


def named_practitioner(request: Request) -> UUID | None:
    """The same for the record of a refusal, which must be written whatever else is wrong with the request."""
    try:
        return practitioner_of(request)
    except Malformed:
        return None


def patient_of(request: Request, document: object) -> UUID | None:
    """The patient whom a request names by address, filter or body; None where it names none."""
    in_body = document.get("patient_id") if isinstance(document, dict) else None
    for named in (request.path_params.get("patient_id"), request.query_params.get("patient_id"), in_body):
        try:
            return UUID(str(named))
        except ValueError:
            continue
    return None


def record_of(request: Request, records: Mapping[str, str]) -> Record | None:
    """The record that an address names, where one of ``records`` says whose it is."""
    for name, table in records.items():
        try:
            return Record(table, name, UUID(str(request.path_params.get(name))))
        except ValueError:
            continue
    return None


def clinic_of(request: Request, caller: Caller) -> UUID:
    """A clinic system's clinic stands in its token; our own services name it in a header; operators are outside of all."""
    if caller.kind == "service":
        named = _uuid_header(request, "Afterglow-Clinic")
        if named is None:
            raise Malformed("clinic-required", "Name the clinic in the header Afterglow-Clinic.")
        return named
    return caller.clinic_id or OUTSIDE_CLINICS


def _uuid_header(request: Request, name: str) -> UUID | None:
    given = request.headers.get(name)
    if given is None:
        return None
    try:
        return strict_values.uuid_of(given)
    except ValueError:
        raise Malformed("header-malformed", f"The header {name} holds one UUID.") from None


def _check_query(request: Request, wanted: Wanted) -> None:
    """A filter with a typing error must not answer everything."""
    given = request.query_params.multi_items()
    if wanted.ignores_unknown_query:
        given = [(name, value) for name, value in given if name in wanted.query_names]
    names = [name for name, _ in given]
    once = [name for name in names if name not in wanted.repeatable]
    if not set(names) <= set(wanted.query_names) or len(set(once)) != len(once):
        raise Invalid("unknown-parameter", "The address has a query parameter that is not known here, or one twice.")
    if not all(text.allowed(value, lines=False) for _, value in given):
        raise Invalid("text-not-allowed", "A query parameter holds characters that cannot be seen.")


async def _body(request: Request, wanted: Wanted) -> tuple[bytes, object]:
    if request.method in ("GET", "DELETE"):
        return b"", None
    return await wanted.body.read(request, takes_body=wanted.takes_body)
