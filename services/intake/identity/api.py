from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Path, Request
from fastapi.responses import JSONResponse
from sqlmodel import col, select

from services.intake.identity import commands
from services.intake.identity.assertions import ALGORITHMS
from services.intake.identity.commands import TokenRefused, TooManyTries
from services.intake.identity.models import RegisteredClient
from services.intake.identity.queries import get_client
from services.intake.identity.registration import Registration
from services.intake.identity.rules import ClientKind, known
from services.intake.identity.schemas import TOKEN_REQUEST, TOKEN_RESPONSES, ClientOut, NoMembers, RegisterClient
from services.intake.identity.tokens import TokenIssuer
from shared import telemetry
from shared.errors import DomainError
from shared.security.tries import Tries
from shared.web import Call, Listing, Page, PublicCall, Router, operator_access, page_of, public_access, read_form
from shared.web.addresses import client_address

router = Router(prefix="/intake/v1/clients", tags=["Client"])

ClientId = Annotated[str, Path(pattern=r"^[!-~]{1,255}$")]


@router.post("", status_code=201)
@operator_access("system/Client.c")
async def register_client(body: RegisterClient, call: Call) -> ClientOut:
    """Register a clinic's own system with its public keys. The answer's client_id goes into its assertions."""
    registration = Registration(client_id=str(uuid4()), **body.model_dump())
    client = await commands.register_client(call.db, registration, at=call.now, by=call.caller.actor)
    call.created(f"/intake/v1/clients/{client.client_id}")
    return ClientOut.model_validate(client)


@router.get("")
@operator_access("system/Client.r")
async def list_clients(call: Call, page: Page, clinic_id: UUID | None = None) -> Listing[ClientOut]:
    """All clients, or those of one clinic, oldest first."""
    statement = select(RegisteredClient)
    if clinic_id is not None:
        statement = statement.where(RegisteredClient.clinic_id == clinic_id)
    ordered = statement.order_by(col(RegisteredClient.registered_at), col(RegisteredClient.client_id))
    return (await page_of(call, ordered, page)).listing(ClientOut.model_validate)


@router.get("/{client_id}")
@operator_access("system/Client.r")
async def read_client(client_id: ClientId, call: Call) -> ClientOut:
    """One client."""
    return ClientOut.model_validate(await get_client(call.db, client_id))


@router.post("/{client_id}/disable")
@operator_access("system/Client.u")
async def disable_client(client_id: ClientId, body: NoMembers, call: Call) -> ClientOut:  # noqa: ARG001 - the body is an empty object
    """No more tokens for this client; those it has are refused within a second."""
    return ClientOut.model_validate(await commands.disable_client(call.db, call.actor, call.now, client_id))


def token_routes(issuer: TokenIssuer) -> Router:
    """What clients need to get a token and services to verify one (SMART Backend Services)."""
    public = Router(prefix="/intake", tags=["Token"])
    tries = Tries(free=commands.FREE_TRIES)

    @public.post("/oauth/token", openapi_extra=TOKEN_REQUEST, responses=TOKEN_RESPONSES)
    @public_access("the assertion in the body is the credential")
    async def token(request: Request, call: PublicCall) -> JSONResponse:
        """Exchange a client assertion (private_key_jwt) for an access token of five minutes."""
        try:
            form = await _form(request)
            issued = await commands.exchange(call.database, issuer, form, tries, client_address(request))
        except TooManyTries as limited:
            telemetry.logger("identity", service="intake").warning("token.limited")
            return JSONResponse(_LIMITED, status_code=429, headers={**_NOT_STORED, "Retry-After": str(limited.seconds)})
        except TokenRefused as refused:
            telemetry.logger("identity", service="intake").warning("token.refused", code=refused.error, reason=refused.description)
            return JSONResponse({"error": refused.error, "error_description": refused.description}, status_code=400, headers=_NOT_STORED)
        answer = {"access_token": issued.token, "token_type": "bearer", "expires_in": issued.expires_in, "scope": issued.scope}
        return JSONResponse(answer, headers=_NOT_STORED)

    @public.get("/.well-known/jwks.json")
    @public_access("public keys are public")
    async def jwks() -> JSONResponse:
        """The keys that access tokens are verified with."""
        return JSONResponse(issuer.keys.public(), headers={"Cache-Control": "public, max-age=300"})

    @public.get("/.well-known/smart-configuration")
    @public_access("says where and how to get a token")
    async def smart_configuration() -> JSONResponse:
        """How to get a token here, as SMART App Launch describes it."""
        return JSONResponse(_smart_configuration(issuer), headers={"Cache-Control": "public, max-age=300"})

    return public


async def _form(request: Request) -> dict[str, str]:
    """The fields of the request; what is no form is RFC 6749's invalid_request."""
    try:
        return await read_form(request)
    except DomainError as error:
        if error.status in (400, 415):
            raise TokenRefused("invalid_request", error.detail) from None
        raise


def _smart_configuration(issuer: TokenIssuer) -> dict[str, Any]:  # Any: JSON
    return {
        "issuer": issuer.issuer,
        "jwks_uri": f"{issuer.issuer}/.well-known/jwks.json",
        "token_endpoint": issuer.token_url,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS, reverse=True),
        "scopes_supported": sorted(known(ClientKind.CLINIC_SYSTEM)),
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }


_LIMITED = {"error": "invalid_client", "error_description": "Too many wrong assertions. A good one is taken at any time."}
_NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
