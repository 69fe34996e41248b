"""One frame for every credential, body and language: what holds for the JSON API holds for pages, forms and FHIR without a hand."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter
from fhir.resources.R4B.operationoutcome import OperationOutcome

from shared.security.access import Undeclared, access, patient_access, public_access, service_access, staff_access
from shared.service import Service
from shared.telemetry import Metrics
from shared.web import FormBody, Router, application
from tests.shared.web import tiny
from tests.shared.web.client import CLINIC, NURSE, ORIGIN, PRESCRIBER_ELSEWHERE, Client, bearer, note
from tests.shared.web.edges import COOKIE, PAGES, NoteLink, StaffCookie, routers

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def edges(service: Service) -> AsyncIterator[Client]:
    """The tiny service with its further edges."""
    made = replace(service, metrics=Metrics("edges"), routers=[tiny.router, *routers(service.database, CLINIC)])
    app = application(made)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield Client(http, service.database, app)


async def written(client: Client) -> tuple[str, str]:
    """A note's id, and its patient's."""
    body = note()
    return (await client.write_note(body)).json()["note_id"], body["patient_id"]


async def trail(client: Client, request_id: str) -> list[dict[str, Any]]:
    return [row for row in await client.rows("public.audit_event") if row["request_id"] == request_id]


async def titles(client: Client, note_id: str) -> list[str]:
    return [row["title"] for row in await client.rows("public.note") if str(row["note_id"]) == note_id]


def session(practitioner_id: UUID = NURSE) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={practitioner_id}"}


async def test_a_page_that_shows_something_of_a_patient_leaves_a_trail_without_a_hand(edges: Client) -> None:
    note_id, patient_id = await written(edges)
    request_id = str(uuid4())
    assert (await edges.http.get(f"/p/{note_id}", headers={"X-Request-Id": request_id})).text == "First infusion None"
    (row,) = await trail(edges, request_id)
    said = (row["client_id"], row["operation"], row["action"], row["phi"], str(row["patient_id"]), row["subject"], row["outcome"])
    assert said == ("patient-link", "show_own_note", "R", "read", patient_id, f"Note/{note_id}", 200)


async def test_a_form_is_written_with_its_trail_and_answered_after_the_commit(edges: Client) -> None:
    note_id, _ = await written(edges)
    request_id = str(uuid4())
    answer = await edges.http.post(f"/p/{note_id}", content="title=Second&word=a&word=b", headers={**FORM, "X-Request-Id": request_id})
    assert (answer.status_code, answer.text, await titles(edges, note_id)) == (303, "Seconda b", ["Seconda b"])
    assert [(row["action"], row["outcome"]) for row in await trail(edges, request_id)] == [("U", 201)]


@pytest.mark.parametrize(("title", "status", "code", "outcomes"), [("refuse", 409, "refused", [409]), ("fail", 500, "internal-error", [])])
async def test_what_a_page_refuses_changes_nothing_and_is_told_as_a_page(
    edges: Client, title: str, status: int, code: str, outcomes: list[int]
) -> None:
    note_id, _ = await written(edges)
    request_id = str(uuid4())
    answer = await edges.http.post(f"/p/{note_id}", content=f"title={title}", headers={**FORM, "X-Request-Id": request_id})
    assert (answer.status_code, answer.text) == (status, f"<p>{code}</p>")
    assert await titles(edges, note_id) == ["First infusion"]
    assert [row["outcome"] for row in await trail(edges, request_id)] == outcomes


async def test_what_fails_after_the_commit_is_no_refusal_of_what_was_done(edges: Client) -> None:
    note_id, _ = await written(edges)
    request_id = str(uuid4())
    answer = await edges.http.post(f"/p/{note_id}", content="title=away", headers={**FORM, "X-Request-Id": request_id})
    assert (answer.status_code, answer.text, await titles(edges, note_id)) == (503, "<p>unavailable</p>", ["away"])
    assert [row["outcome"] for row in await trail(edges, request_id)] == [201]


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        ("title=a&title=b", FORM, 400, "form-duplicate-field"),
        ("title=a&other=b", FORM, 400, "form-malformed"),
        ("title=" + "x" * 200, FORM, 413, "body-too-large"),
        ("title=a", {"Content-Type": "application/json"}, 415, "media-type-not-supported"),
        ("title=a", {**FORM, "Sec-Fetch-Site": "cross-site"}, 403, "foreign-page"),
        ("title=a", {**FORM, "Origin": "https://elsewhere.example"}, 403, "foreign-page"),
    ],
)
async def test_a_form_is_read_as_declared_and_from_our_own_page_alone(
    edges: Client, content: str, headers: dict[str, str], status: int, code: str
) -> None:
    note_id, _ = await written(edges)
    for path, cookie in ((f"/p/{note_id}", {}), (f"/s/notes/{note_id}", session())):
        answer = await edges.http.post(path, content=content, headers={**headers, **cookie})
        if (path.startswith("/s"), status) != (True, 413):
            assert (answer.status_code, answer.text) == (status, f"<p>{code}</p>")
    assert code == "body-too-large" or await titles(edges, note_id) == ["First infusion"]


async def test_a_link_that_opens_nothing_is_refused_as_a_page_and_leaves_nothing(edges: Client) -> None:
    request_id = str(uuid4())
    answer = await edges.http.get(f"/p/{uuid4()}", headers={"X-Request-Id": request_id})
    assert (answer.status_code, answer.text) == (410, "<p>link-gone</p>")
    assert await trail(edges, request_id) == []


async def test_a_credential_does_no_more_than_its_rights_and_a_token_is_no_link(edges: Client) -> None:
    note_id, patient_id = await written(edges)
    request_id = str(uuid4())
    answer = await edges.http.delete(f"/p/{note_id}", headers={"X-Request-Id": request_id})
    assert (answer.status_code, answer.text) == (403, "<p>scope-missing</p>")
    (row,) = await trail(edges, request_id)
    assert (row["outcome"], row["client_id"], str(row["patient_id"])) == (403, "patient-link", patient_id)
    assert (await edges.http.get(f"/s/notes/{note_id}", headers=bearer())).status_code == 401


async def test_staff_are_held_to_their_role_at_every_request(edges: Client) -> None:
    note_id, patient_id = await written(edges)
    assert (await edges.http.get(f"/s/notes/{note_id}", headers=session())).text == "First infusion"
    for practitioner_id, code in ((PRESCRIBER_ELSEWHERE, "practitioner-unknown"), (uuid4(), "practitioner-unknown")):
        request_id = str(uuid4())
        answer = await edges.http.get(f"/s/notes/{note_id}", headers={**session(practitioner_id), "X-Request-Id": request_id})
        assert (answer.status_code, answer.text) == (403, f"<p>{code}</p>")
        (row,) = await trail(edges, request_id)
        assert (row["client_id"], row["practitioner_id"], row["outcome"]) == ("staff-session", practitioner_id, 403)
        assert str(row["patient_id"]) == patient_id, "whose record it was"


async def test_what_a_mail_program_adds_to_a_link_is_ignored_and_a_parameter_of_ours_is_there_once(edges: Client) -> None:
    note_id, _ = await written(edges)
    assert (await edges.http.get(f"/p/{note_id}?utm_source=mail&again=wrong&utm_source=x")).text == "First infusion wrong"
    assert (await edges.http.get(f"/p/{note_id}?again=a&again=b")).text == "<p>unknown-parameter</p>"
    assert (await edges.http.get(f"/s/notes/{note_id}?utm_source=mail", headers=session())).status_code == 422


async def test_a_filter_is_repeated_where_it_is_declared_so_and_refused_elsewhere(edges: Client) -> None:
    for query, status, said in (
        ("number=1&number=2", 200, [1, 2]),
        ("number=1", 200, [1]),
        ("", 200, []),
        ("word=a&word=b", 422, "unknown-parameter"),
        ("number=1&number=2_0", 422, "type"),
        ("number=1&word=a&numbers=2", 422, "unknown-parameter"),
    ):
        answer = await edges.get(f"/tiny/v1/found?{query}")
        assert (answer.status_code, answer.json() if answer.is_success else answer.json()["code"]) == (status, said), query


async def test_fhir_answers_resources_without_what_is_not_known_and_leaves_the_same_trail(edges: Client) -> None:
    note_id, patient_id = await written(edges)
    request_id = str(uuid4())
    answer = await edges.get(f"/fhir/Basic/{note_id}", X_Request_Id=request_id)
    assert (answer.status_code, answer.json()) == (200, {"resourceType": "Basic", "id": note_id})
    assert answer.headers["content-type"] == "application/fhir+json; fhirVersion=4.0"
    assert answer.headers["etag"] == 'W/"1"'
    assert [(row["operation"], str(row["patient_id"]), row["outcome"]) for row in await trail(edges, request_id)] == [
        ("read_basic", patient_id, 200)
    ]


REFUSALS: dict[str, Callable[[Client, str], Any]] = {  # Any: an awaitable answer
    "no token": lambda client, kind: client.get(f"{kind}/{uuid4()}", Authorization=""),
    "no right": lambda client, kind: client.get(f"{kind}/{uuid4()}", **bearer(scope="x/y.r")),
    "no such person": lambda client, kind: client.get(f"{kind}/{uuid4()}", Afterglow_Practitioner=str(uuid4())),
    "not found": lambda client, kind: client.get(f"{kind}/{uuid4()}"),
    "no id": lambda client, kind: client.get(f"{kind}/1"),
    "unknown filter": lambda client, kind: client.get(f"{kind}/{uuid4()}?a=b"),
    "no key": lambda client, kind: client.post(kind, {}, Idempotency_Key=""),
    "no media type": lambda client, kind: client.http.post(kind, content=b"{}", headers=client.headers(Content_Type="text/plain")),
    "not JSON": lambda client, kind: client.http.post(kind, content=b"{", headers=client.headers(Content_Type="application/json")),
    "unknown member": lambda client, kind: client.post(kind, {"another": 1}),
}


@pytest.mark.parametrize("ask", REFUSALS.values(), ids=REFUSALS)
async def test_fhir_refuses_with_the_status_and_code_of_its_twin_as_an_operation_outcome(
    edges: Client, ask: Callable[[Client, str], Any]
) -> None:
    twin, answer = await ask(edges, "/tiny/v1/notes"), await ask(edges, "/fhir/Basic")
    assert answer.status_code == twin.status_code
    assert answer.headers["content-type"].startswith("application/fhir+json")
    outcome = OperationOutcome.model_validate(answer.json())
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == twin.json()["code"] or answer.status_code == 422
    assert outcome.issue[0].severity == "error"


async def test_a_body_of_fhir_may_say_that_it_is_one(edges: Client) -> None:
    for media_type in ("application/fhir+json", "application/json"):
        answer = await edges.http.post("/fhir/Basic", content=b'{"title": "x"}', headers=edges.headers(Content_Type=media_type))
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (409, "conflict")
    twin = await edges.http.post("/tiny/v1/notes", content=b"{}", headers=edges.headers(Content_Type="application/fhir+json"))
    assert twin.status_code == 415


CREDENTIALS: dict[str, Callable[[], Router]] = {
    "clients": Router,
    "links": lambda: Router(credential=NoteLink(CLINIC), body=FormBody({"title"}), answers=PAGES),
    "staff": lambda: Router(credential=StaffCookie(CLINIC), answers=PAGES),
}
OF_OTHERS = {
    "clients": [patient_access("patient/Note.r"), staff_access("system/Note.r", person=("nurse",))],
    "links": [access("system/Note.r", person=("nurse",)), staff_access("system/Note.r", person=("nurse",)), service_access("service/N.r")],
    "staff": [access("system/Note.r", person=("nurse",)), patient_access("patient/Note.r")],
}


@pytest.mark.parametrize("made", CREDENTIALS)
def test_a_route_that_declares_nothing_stops_the_start_whatever_its_credential(made: str) -> None:
    router = CREDENTIALS[made]()

    async def silent() -> None:
        """An endpoint."""

    with pytest.raises(Undeclared, match="silent"):
        router.get("/silent")(silent)
    with pytest.raises(Undeclared, match="reason"):
        public_access("")


@pytest.mark.parametrize("made", CREDENTIALS)
def test_a_route_for_whom_its_credential_does_not_know_stops_the_start(made: str) -> None:
    for declare in OF_OTHERS[made]:
        router = CREDENTIALS[made]()

        async def stray() -> None:
            """An endpoint."""

        with pytest.raises(Undeclared, match="stray"):
            router.get("/stray")(declare(stray))


def test_staff_are_named_by_their_roles() -> None:
    with pytest.raises(Undeclared):
        staff_access("system/Note.r", person=())


async def test_a_route_beside_the_frame_stops_the_start(service: Service, edges: Client) -> None:
    stray = APIRouter()
    stray.add_api_route("/stray", lambda: None)
    with pytest.raises(Undeclared, match="/stray"):
        application(replace(service, metrics=Metrics("stray"), routers=[*routers(service.database, CLINIC), stray]))


async def test_only_fhir_describes_its_refusals_as_outcomes(edges: Client) -> None:
    document = (await edges.http.get("/tiny/openapi.json")).json()
    refusals = document["paths"]["/fhir/Basic/{note_id}"]["get"]["responses"]["404"]["content"]
    assert list(refusals) == ["application/fhir+json"]
    assert "OperationOutcome" in document["components"]["schemas"]
    assert not any(path.startswith(("/p/", "/s/")) for path in document["paths"])
    assert json.dumps(document["paths"]["/tiny/v1/notes"]).count("application/fhir+json") == 0
