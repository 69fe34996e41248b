"""The operations under ``/<service>/v1/documents``: reading, writing, signing, and saying from when a version counts."""

from typing import Annotated

from fastapi import Path, Query

from shared.documents import commands, queries
from shared.documents.in_force import Documents
from shared.documents.models import Version
from shared.documents.roles import DocumentRoles
from shared.documents.schemas import Activate, DocumentOut, SignOff, VersionDetail, VersionOut, WriteVersion
from shared.service import Service
from shared.web import Call, CallContext, Listing, Page, Router, access, page_of

Code = Annotated[str, Path(min_length=1, max_length=64)]
AskedCode = Annotated[str | None, Query(min_length=1, max_length=64)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


def with_documents(service: Service, documents: Documents, roles: DocumentRoles) -> Service:
    """The service with its clinical documents beside its own operations."""
    service.routers = [*service.routers, routes(service.name, documents, roles)]
    return service


def routes(service: str, documents: Documents, roles: DocumentRoles) -> Router:
    """The operations on the documents of one service."""
    router = Router(prefix=f"/{service}/v1/documents", tags=["Documents"])
    _reading(router, documents, roles)
    _changing(router, documents, roles)
    return router


def _reading(router: Router, documents: Documents, roles: DocumentRoles) -> None:
    @router.get("")
    @access("system/Document.r", system_or_person=roles.read)
    async def list_documents(call: Call) -> Listing[DocumentOut]:
        """Which version of each document counts in this clinic now, and what is to follow it."""
        shown = []
        for kind in documents.kinds.values():
            document = await documents.in_force(call.db, kind, call.now)
            shown.append(DocumentOut.of(kind, document, await queries.activations(call.db, kind.code), call.now))
        return Listing(items=shown)

    @router.get("/versions")
    @access("system/Document.r", system_or_person=roles.read)
    async def list_document_versions(call: Call, page: Page, code: AskedCode = None) -> Listing[VersionOut]:
        """What the clinic has written, and which defaults it has signed, the newest first."""
        return (await page_of(call, queries.versions(call.clinic_id, code), page)).listing(VersionOut.of)

    @router.get("/{code}/versions/{version}")
    @access("system/Document.r", system_or_person=roles.read)
    async def read_document_version(code: Code, version: Number, call: Call) -> VersionDetail:
        """One version with its text: the clinic's own, or the default of this release."""
        found = await queries.get_version(call.db, documents.kind(code), version, call.now)
        return await _detail(call, found)


def _changing(router: Router, documents: Documents, roles: DocumentRoles) -> None:
    @router.post("", status_code=201)
    @access("system/Document.c", person=roles.write)
    async def write_document_version(body: WriteVersion, call: Call) -> VersionOut:
        """Save a new version, or try it with dry_run. It counts for nothing until somebody else has signed it."""
        version = await commands.write(call.db, call.actor, call.now, documents, body)
        if not body.dry_run:
            call.created(f"{call.path}/{version.code}/versions/{version.version}")
        call.etag(version.state)
        return VersionOut.of(version)

    @router.post("/{code}/versions/{version}/sign-off")
    @access("system/Document.u", person=roles.sign)
    async def sign_document_version(code: Code, version: Number, body: SignOff, call: Call) -> VersionDetail:
        """Agree to a version that somebody else has written, or to a default, and say from when it counts."""
        kind = documents.kind(code)
        return await _detail(call, await commands.sign_off(call.db, call.actor, call.now, kind, version, body.active_from))

    @router.post("/{code}/versions/{version}/activate")
    @access("system/Document.u", person=roles.sign)
    async def activate_document_version(code: Code, version: Number, body: Activate, call: Call) -> VersionDetail:
        """Say anew from when a signed version counts, to go back to it or to put another one off."""
        kind = documents.kind(code)
        return await _detail(call, await commands.activate(call.db, call.actor, call.now, kind, version, body.active_from))


async def _detail(call: CallContext, version: Version) -> VersionDetail:
    call.etag(version.state)
    call.about(f"ClinicDocument/{version.code}/{version.version}")
    return VersionDetail.with_activations(version, await queries.activations(call.db, version.code, version.version))
