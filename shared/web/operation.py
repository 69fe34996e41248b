"""The route class of every service: one order of checks, one transaction, one place to forget nothing.

Authenticate, check the declared access, read the body, open the transaction, check who is admitted and for whom they act, replay or run,
store, audit, commit, and only then answer. A dependency could not do this: FastAPI ends dependencies after the answer has left.
How a caller is known, which bodies are read and in which language is answered are parts that can be exchanged; this order is not.
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared import failpoints, telemetry
from shared.db import clinic_of
from shared.errors import Conflict, DomainError
from shared.security.access import Undeclared, access_of
from shared.security.audit import append
from shared.security.caller import KINDS, acting, refuse_client
from shared.web import asked, frame, idempotency
from shared.web.answers import AfterCommit, AnswerCodec
from shared.web.asked import Asked, Wanted
from shared.web.bodies import JSON, BodyCodec
from shared.web.call import CallContext, CallRequest, Ground, surroundings_of
from shared.web.credentials import CLIENTS, Admitted, Credential
from shared.web.marks import marks_of
from shared.web.openapi import IfMatch, describe, property_names, query_names
from shared.web.own_page import require_own_page
from shared.web.problems import PROBLEMS, refusal_of
from shared.web.recording import Recording, SoFar
from shared.web.strict_parameters import parameters_of, refuse_loose, repeatable_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: the send and throw types of a coroutine
_SAFE = frozenset({"GET", "HEAD"})
_PAGING = frozenset({"limit", "cursor"})
_COLLISIONS = frozenset({"23503", "23505", "23P01"})
"""Foreign key, unique and exclusion violations."""


class Operation(APIRoute):
    """A route with declared access; see the module for what it does around the endpoint.

    Its router says by which credential callers come, which bodies are read and in which language is answered.
    """

    credential: ClassVar[Credential] = CLIENTS
    body_codec: ClassVar[BodyCodec] = JSON
    answer_codec: ClassVar[AnswerCodec] = PROBLEMS

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # Any: passed through to APIRoute
        self.access = access_of(endpoint)
        super().__init__(path, endpoint, **options)
        (self.method,) = self.methods or ("GET",)
        self._refuse_half_declared()
        self.needs_key = self.method == "POST" and self.access.kind in KINDS and self.access.action != "R"
        self.if_match = self._if_match()
        self.query_names = query_names(self.dependant)
        self.known_names = property_names(self) | self.query_names
        self.parameters = parameters_of(self.dependant)
        self._wanted = self._wanted_of_requests()
        self._recording = Recording(self.name, self.access, self.path_format)
        describe(self)

    def _refuse_half_declared(self) -> None:
        """Raises Undeclared where what is declared of an endpoint cannot be kept by its router."""
        if self.access.kind is None and self.body_field is not None:
            raise Undeclared(f"{self.name} is public, so it must read its body itself, by read_form")
        if self.access.kind is not None and self.access.kind not in self.credential.kinds:
            raise Undeclared(f"{self.name} is for callers of kind {self.access.kind}, and its router has no credential of theirs")

    def _wanted_of_requests(self) -> Wanted:
        return Wanted(
            body=self.body_codec,
            query_names=self.query_names,
            repeatable=repeatable_of(self.dependant),
            takes_body=self.body_field is not None,
            needs_key=self.needs_key,
            needs_version=self.if_match == "required",
            ignores_unknown_query=self.access.kind == "patient",
        )

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
            try:
                response = await (strictly(request) if self.access.kind is None else self._answered(strictly, request))
                return await response.make() if isinstance(response, AfterCommit) else response
            except (DomainError, RequestValidationError) as refused:
                return self.answer_codec.refused(marks_of(request.scope), refusal_of(refused, self.known_names))

        return handle

    async def _answered(self, inner: Handler, request: Request) -> Response:
        ground = self.credential.ground(request)
        so_far = SoFar()
        try:
            so_far.caller = await self.credential.caller(request)
            if so_far.caller is not None:
                self.access.check(so_far.caller)
            if self.access.kind not in KINDS and self.method not in _SAFE:
                require_own_page(request, ground.public_url)
            so_far.what = await asked.read(request, so_far.caller, self._wanted)
            return await self._run(inner, request, ground, so_far.what, so_far)
        except IntegrityError as error:
            collision = _collision(error, self.name)
            if isinstance(collision, DomainError):
                await self._recording.refusal(request, ground, collision, so_far)
            raise collision from error
        except DomainError as refused:
            await self._recording.refusal(request, ground, refused, so_far)
            raise

    async def _run(self, inner: Handler, request: Request, ground: Ground, what: Asked, so_far: SoFar) -> Response:
        async with ground.database.transaction() as db:
            admitted = await self.credential.admit(db, request, what)
            so_far.caller, so_far.patient_id = admitted.caller, admitted.patient_id
            call = so_far.call = self._admitted(request, ground, what, admitted, db)
            claim = what.claim
            response = idempotency.settle(claim, claimed=admitted.claimed, stored=admitted.stored) if claim else None
            if response is None:
                response = await inner(CallRequest(request, call, what.body, what.document))
                call.complete(response)
                await db.flush()
            else:
                call.replays(admitted.stored.patient_id if admitted.stored else None, response.headers)
                claim = None
            await self._close(request, call, claim, response)
        failpoints.hit("api.after_commit")
        return response

    def _admitted(self, request: Request, ground: Ground, what: Asked, admitted: Admitted, db: AsyncSession) -> CallContext:
        """The call, of a caller who may. Raises Unauthorized or Forbidden."""
        self.access.check(admitted.caller)
        refuse_client(admitted.caller, admitted.standing)
        caller = acting(admitted.caller, admitted.standing, admitted.practitioner_id, self.access.naming, self.access.roles)
        return _call(request, ground, what, replace(admitted, caller=caller), db)

    async def _close(self, request: Request, call: CallContext, claim: idempotency.Claim | None, response: Response) -> None:
        if self.access.action == "R" and self.access.phi == "none":
            return
        entered = clinic_of(call.db)
        row = self._recording.row(request, call.caller, entered, response.status_code, call)
        kept = self._kept(request, call, claim, response) if claim else None
        if entered != call.clinic_id:
            await frame.close_frame_from_outside(call.db, row, kept)
        elif kept is not None:
            await frame.close_frame(call.db, row, kept)
        else:
            await append(call.db, row)

    def _kept(self, request: Request, call: CallContext, claim: idempotency.Claim, response: Response) -> frame.Kept:
        answers = surroundings_of(request.app).answers
        return frame.Kept(call.clinic_id, claim, f"{self.method} {self.path_format}", response, answers)


class Router(APIRouter):
    """An APIRouter whose routes are Operations, each called by its endpoint's name. By default of registered clients who speak JSON."""

    def __init__(
        self,
        *,
        credential: Credential = CLIENTS,
        body: BodyCodec = JSON,
        answers: AnswerCodec = PROBLEMS,
        **options: Any,  # Any: passed through to APIRouter
    ) -> None:
        spoken = type("Operation", (Operation,), {"credential": credential, "body_codec": body, "answer_codec": answers})
        super().__init__(route_class=spoken, generate_unique_id_function=_operation_id, **options)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _call(request: Request, ground: Ground, what: Asked, admitted: Admitted, db: AsyncSession) -> CallContext:
    query = parse_qsl(request.url.query, keep_blank_values=True)
    return CallContext(
        db=db,
        caller=admitted.caller,
        clinic_id=admitted.clinic_id,
        now=ground.clock.now(),
        request_id=marks_of(request.scope).request_id,
        if_match=what.if_match,
        path=request.url.path,
        filters=[(name, value) for name, value in query if name not in _PAGING],
        cursors=ground.cursors,
        opens=admitted.opens,
        patient_id=admitted.patient_id,
        subject=admitted.subject,
    )


def _collision(error: IntegrityError, operation: str) -> Exception:
    """Two changes that each were right can still collide in a key or reference; anything else is a defect of ours."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    telemetry.logger("http").warning("http.collision", operation=operation, code=sqlstate)
    if sqlstate in _COLLISIONS:
        return Conflict("collision", "The change collides with another one; read again before you repeat it.")
    return error
