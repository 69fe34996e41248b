"""The route class of every service: one order of checks, one transaction, one place to forget nothing.

Authenticate, check the declared access, read the body, open the transaction, check client and practitioner, replay or run, store,
audit, commit, and only then answer. A dependency could not do this: FastAPI ends dependencies after the answer has left.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints, telemetry
from shared.db import clinic_of
from shared.errors import Conflict, DomainError, Forbidden, Unauthorized
from shared.security.access import Undeclared, access_of
from shared.security.audit import AuditEvent, append, append_about
from shared.security.caller import Caller, acting, refuse_client
from shared.web import asked, frame, idempotency
from shared.web.asked import Asked
from shared.web.call import CallContext, CallRequest, Surroundings, surroundings_of
from shared.web.marks import marks_of
from shared.web.openapi import IfMatch, describe, property_names, query_names
from shared.web.strict_parameters import parameters_of, refuse_loose

Handler = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: the send and throw types of a coroutine
_PAGING = frozenset({"limit", "cursor"})
_COLLISIONS = frozenset({"23503", "23505", "23P01"})
"""Foreign key, unique and exclusion violations."""
_SAY_SOMETHING = frozenset({404, 409, 412, 422})
"""Not found, a state, a version, a reference: nothing was looked up for what is refused by its form alone."""


class Operation(APIRoute):
    """A route with declared access; see the module for what it does around the endpoint."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # Any: passed through to APIRoute
        self.access = access_of(endpoint)
        super().__init__(path, endpoint, **options)
        (self.method,) = self.methods or ("GET",)
        if self.access.kind is None and self.body_field is not None:
            raise Undeclared(f"{self.name} is public, so it must read its body itself, by read_form")
        self.needs_key = self.method == "POST" and self.access.kind is not None and self.access.action != "R"
        self.if_match = self._if_match()
        self.query_names = query_names(self.dependant)
        self.known_names = property_names(self) | self.query_names
        self.parameters = parameters_of(self.dependant)
        describe(self)

    def _if_match(self) -> IfMatch:
        """A change of what is recorded needs the version that was seen. A step on a record may name it, and a stale one is refused."""
        if self.method in ("PATCH", "PUT") or self.access.corrects:
            return "required"
        step = self.access.kind == "clinic-system" and self.access.action == "U" and "{" in self.path_format
        return "optional" if step else "none"

    def get_route_handler(self) -> Handler:
        """FastAPI's handler inside ours; called again for every router that includes this one."""
        inner = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            refuse_loose(request, self.parameters)
            return await inner(request)

        async def handle(request: Request) -> Response:
            return await self._answered(strictly, request)

        return strictly if self.access.kind is None else handle

    async def _answered(self, inner: Handler, request: Request) -> Response:
        surroundings = surroundings_of(request.app)
        so_far = _SoFar()
        try:
            so_far.caller = await surroundings.verifier.caller(request.headers.get("authorization"))
            self.access.check(so_far.caller)
            takes_body = self.body_field is not None
            so_far.what = await asked.read(
                request,
                so_far.caller,
                query_names=self.query_names,
                takes_body=takes_body,
                needs_key=self.needs_key,
                needs_version=self.if_match == "required",
            )
            return await self._run(inner, request, surroundings, so_far.what, so_far)
        except IntegrityError as error:
            collision = _collision(error, self.name)
            if isinstance(collision, DomainError):
                await self._record_refusal(request, surroundings, collision, so_far)
            raise collision from error
        except DomainError as refused:
            await self._record_refusal(request, surroundings, refused, so_far)
            raise

    async def _run(self, inner: Handler, request: Request, surroundings: Surroundings, what: Asked, so_far: "_SoFar") -> Response:
        async with surroundings.database.transaction() as db:
            opened = await frame.open_frame(
                db, what.clinic_id, what.caller.client_id, what.practitioner_id, what.claim, surroundings.answers
            )
            refuse_client(what.caller, opened.standing)
            caller = acting(what.caller, opened.standing, what.practitioner_id, self.access.naming, self.access.roles)
            call = so_far.call = _call(request, surroundings, what, caller, db)
            claim = what.claim
            response = idempotency.settle(claim, claimed=opened.claimed, stored=opened.stored) if claim else None
            if response is None:
                response = await inner(CallRequest(request, call, what.body, what.document))
                call.complete(response)
                await db.flush()
            else:
                call.replays(opened.stored.patient_id if opened.stored else None, response.headers)
                claim = None
            await self._close(request, call, claim, response)
        failpoints.hit("api.after_commit")
        return response

    async def _close(self, request: Request, call: CallContext, claim: idempotency.Claim | None, response: Response) -> None:
        if self.access.action == "R" and self.access.phi == "none":
            return
        entered = clinic_of(call.db)
        row = self._audit_event(request, call.caller, entered, response.status_code, call)
        answers = surroundings_of(request.app).answers
        kept = frame.Kept(call.clinic_id, claim, f"{self.method} {self.path_format}", response, answers) if claim else None
        if entered != call.clinic_id:
            await frame.close_frame_from_outside(call.db, row, kept)
        elif kept is not None:
            await frame.close_frame(call.db, row, kept)
        else:
            await append(call.db, row)

    def _audit_event(self, request: Request, caller: Caller, clinic_id: UUID, outcome: int, call: CallContext | None = None) -> AuditEvent:
        return AuditEvent(
            clinic_id=clinic_id,
            client_id=caller.client_id,
            practitioner_id=caller.practitioner_id,
            operation=self.name,
            action=self.access.action,
            phi=self.access.phi,
            patient_id=call.patient_id if call else None,
            patient_ids=call.patient_ids if call else (),
            subject=(call.location or call.subject if call else None) or _subject(self.path_format, request.path_params),
            outcome=outcome,
            request_id=marks_of(request.scope).request_id,
            purpose=call.purpose if call else None,
        )

    async def _record_refusal(self, request: Request, surroundings: Surroundings, refused: DomainError, so_far: "_SoFar") -> None:
        """In a transaction of its own, for the request's was rolled back, with the person who was named, whoever that is.

        A refusal that cannot be recorded stays a refusal.
        """
        caller = so_far.caller or getattr(refused, "caller", None)
        if caller is None or not self._leaves_a_trail(refused, so_far):
            return
        try:
            clinic_id = asked.clinic_of(request, caller)
            caller = replace(caller, practitioner_id=asked.named_practitioner(request))
            row = self._audit_event(request, caller, clinic_id, refused.status, so_far.call)
            named = row.patient_id or asked.patient_of(request, so_far.what.document if so_far.what else None)
            record = asked.record_of(request, surroundings.records) if named is None else None
            row = replace(row, patient_id=named)
            async with surroundings.database.transaction(clinic_id) as db:
                await (append(db, row) if record is None else append_about(db, row, record))
        except DomainError as error:
            telemetry.logger("audit").error("audit.refusal_not_recorded", code=error.code, operation=self.name, client_id=caller.client_id)

    def _leaves_a_trail(self, refused: DomainError, so_far: "_SoFar") -> bool:
        """Who may not is always recorded; of the other refusals those that may say something of a patient, or of there being none."""
        if isinstance(refused, Unauthorized | Forbidden):
            return True
        return so_far.call is not None and self.access.phi != "none" and refused.status in _SAY_SOMETHING


@dataclass(slots=True)
class _SoFar:
    """How far a request has come, for the record if it is refused."""

    caller: Caller | None = None
    what: Asked | None = None
    call: CallContext | None = None


class Router(APIRouter):
    """An APIRouter whose routes are Operations, each called by its endpoint's name."""

    def __init__(self, **options: Any) -> None:  # Any: passed through to APIRouter
        super().__init__(route_class=Operation, generate_unique_id_function=_operation_id, **options)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _call(request: Request, surroundings: Surroundings, what: Asked, caller: Caller, db: AsyncSession) -> CallContext:
    query = parse_qsl(request.url.query, keep_blank_values=True)
    return CallContext(
        db=db,
        caller=caller,
        clinic_id=what.clinic_id,
        now=surroundings.clock.now(),
        request_id=marks_of(request.scope).request_id,
        if_match=what.if_match,
        path=request.url.path,
        filters=[(name, value) for name, value in query if name not in _PAGING],
        cursors=surroundings.cursors,
    )


def _collision(error: IntegrityError, operation: str) -> Exception:
    """Two changes that each were right can still collide in a key or reference; anything else is a defect of ours."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    telemetry.logger("http").warning("http.collision", operation=operation, code=sqlstate)
    if sqlstate in _COLLISIONS:
        return Conflict("collision", "The change collides with another one; read again before you repeat it.")
    return error


def _subject(path_format: str, parameters: Mapping[str, object]) -> str:
    """The path with its ids; whatever is not an id stays a placeholder, for a caller may have typed anything there."""
    subject = path_format
    for name, value in parameters.items():
        try:
            subject = subject.replace(f"{{{name}}}", str(UUID(str(value))))
        except ValueError:
            continue
    return subject
