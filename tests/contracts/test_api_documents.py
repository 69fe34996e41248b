"""What docs/api says is valid by public validators, and is what the code does."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.api_documents import Document, documents
from shared.bus import cloud_event_headers

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/api"
SAMPLES = ROOT / "tests/shared/events/golden"
GOLDEN = sorted(SAMPLES.rglob("*.json"))
OFFICIAL_SCHEMA = ROOT / "node_modules/@asyncapi/specs/schemas/3.0.0.json"
OPENAPI = ["intake.openapi.json", "sessions.openapi.json", "followup.openapi.json"]

Json = dict[str, Any]  # Any: whatever the document holds


@pytest.fixture(scope="module")
def written() -> Mapping[str, Document]:
    return documents()


@pytest.fixture(scope="module")
def asyncapi() -> Json:
    document: Json = json.loads((FOLDER / "asyncapi.json").read_text())
    return document


def mistakes_in(asyncapi: Json) -> list[str]:
    schema = json.loads(OFFICIAL_SCHEMA.read_text())
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(asyncapi)]


def test_every_document_is_there_and_nothing_else(written: Mapping[str, Document]) -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(written) == {"asyncapi.json", *OPENAPI}


@pytest.mark.parametrize("name", ["asyncapi.json", *OPENAPI])
def test_a_document_is_current(written: Mapping[str, Document], name: str) -> None:
    assert json.loads((FOLDER / name).read_text()) == json.loads(json.dumps(written[name])), "not current: make api-docs"


@pytest.mark.parametrize("name", OPENAPI)
def test_an_openapi_document_is_valid(name: str) -> None:
    document = json.loads((FOLDER / name).read_text())
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_the_asyncapi_document_is_valid(asyncapi: Json) -> None:
    assert mistakes_in(asyncapi) == []


def test_the_official_schema_catches_a_mistake(asyncapi: Json) -> None:
    asyncapi = json.loads(json.dumps(asyncapi))
    asyncapi["operations"]["sessions-sends"]["action"] = "shouts"
    assert mistakes_in(asyncapi)


def test_every_reference_in_the_asyncapi_document_leads_somewhere(asyncapi: Json) -> None:
    for reference in references_in(asyncapi):
        place: Any = asyncapi
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def references_in(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references_in(value)]
    return [found for value in node for found in references_in(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("sample", GOLDEN, ids=lambda sample: str(sample.relative_to(SAMPLES)))
def test_a_golden_sample_fits_its_described_payload(asyncapi: Json, sample: Path) -> None:
    message = asyncapi["components"]["messages"][sample.stem]
    validator = jsonschema.Draft202012Validator(message["payload"], format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(json.loads(sample.read_text()))] == []


@pytest.mark.parametrize("optional", [uuid4(), None], ids=["caused", "uncaused"])
def test_the_headers_of_a_record_fit_the_described_envelope(asyncapi: Json, optional: Any) -> None:
    envelope = asyncapi["components"]["messageTraits"]["cloudEvent"]["headers"]
    headers = cloud_event_headers(
        event_id=uuid4(),
        type_name="sessions.infusion.completed.v1",
        source="/sessions",
        subject=f"Infusion/{uuid4()}",
        occurred_at=datetime(2026, 3, 9, 17, 5, tzinfo=UTC),
        key=str(uuid4()),
        sequence=7,
        clinic_id=uuid4(),
        correlation_id=optional,
        causation_id=optional,
        traceparent=None,
    )
    named = {name: value.decode() for name, value in headers}
    assert named.pop("content-type") == asyncapi["defaultContentType"]
    assert set(named) <= set(envelope["properties"])
    jsonschema.validate(named, envelope, format_checker=jsonschema.FormatChecker())


def test_what_is_received_is_sent_by_somebody(asyncapi: Json) -> None:
    operations = asyncapi["operations"].values()
    heard = {message["$ref"].split("/")[-1] for one in operations if one["action"] == "receive" for message in one["messages"]}
    sent = {message["$ref"].split("/")[-1] for one in operations if one["action"] == "send" for message in one["messages"]}
    assert sent == set(asyncapi["components"]["messages"])
    assert heard <= sent
