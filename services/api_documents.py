"""The public description of what others may call and hear, written from the code: OpenAPI 3.1 per service, AsyncAPI 3.0 for the topics."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services import embedded, secrets
from shared.bus import PARTITIONS
from shared.clock import SystemClock
from shared.events import Event, registry
from shared.events.registry import MAX_EVENT_BYTES
from shared.private_postgres import PrivatePostgres
from shared.service import Service
from shared.web import application

Document = dict[str, object]

_UUID: Document = {"type": "string", "format": "uuid"}
_ENVELOPE: Document = {
    "type": "object",
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_subject",
        "ce_time",
        "ce_partitionkey",
        "ce_sequence",
        "ce_clinicid",
    ],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": _UUID | {"description": "The same for every copy of the event; a consumer that has seen it drops the copy."},
        "ce_type": {"type": "string", "description": "Name and major version of the event type."},
        "ce_source": {"type": "string", "description": "The producing service."},
        "ce_subject": {"type": "string", "description": "What the fact is about, as a reference: Infusion/<id>."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When the fact became true."},
        "ce_partitionkey": {"type": "string", "description": "The record's key again: events with one key are delivered in order."},
        "ce_sequence": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "The event's number among those of its key and topic.",
        },
        "ce_clinicid": _UUID | {"description": "The clinic whose fact it is."},
        "ce_correlationid": _UUID | {"description": "The request that everything followed from."},
        "ce_causationid": _UUID | {"description": "The event that this one followed from."},
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}


def write(folder: Path) -> None:
    """Write all documents into ``folder``, replacing those of the same name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents().items():
        (folder / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def documents() -> dict[str, Document]:
    """All documents by file name."""
    services = built()
    described = {f"{service.name}.openapi.json": application(service).openapi() for service in services}
    return described | {"asyncapi.json": asyncapi(registry.classes(), {s.name: list(s.subscriptions) for s in services})}


def built() -> list[Service]:
    """The services as the embedded mode wires them, over a database that is never opened."""
    with tempfile.TemporaryDirectory() as name:
        embedding = embedded.Embedding(folder=Path(name), env="demo", public_url="https://afterglow.example")
        secrets.generate(embedding.secrets)
        return embedded.build(embedding, PrivatePostgres(embedding.folder / "postgres", admin_password=""), SystemClock())


def asyncapi(classes: Sequence[type[Event]], subscriptions: Mapping[str, Sequence[type[Event]]]) -> Document:
    """The AsyncAPI document of these event types, with what each service sends and receives."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Afterglow events",
            "version": "1",
            "description": (
                "Facts that Afterglow's services tell each other over Apache Kafka, as CloudEvents 1.0 in binary mode. "
                "Delivery is at least once and in order per key; a consumer drops what it has handled by `ce_id` and ignores fields "
                f"that it does not know. Events carry ids, codes, times, flags and zones only; a value has at most {MAX_EVENT_BYTES} bytes."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic, [cls for cls in classes if cls.type.topic == topic]) for topic in _topics(classes)},
        "operations": _operations(classes, subscriptions),
        "components": {
            "messages": {cls.type.full_name: _message(cls) for cls in classes},
            "messageTraits": {"cloudEvent": {"headers": _ENVELOPE}},
        },
    }


def _topics(classes: Sequence[type[Event]]) -> list[str]:
    return sorted({cls.type.topic for cls in classes})


def _channel(topic: str, classes: Sequence[type[Event]]) -> Document:
    return {
        "address": topic,
        "description": f"Everything that {classes[0].type.producer} tells. Nobody else writes here.",
        "messages": {cls.type.full_name: {"$ref": f"#/components/messages/{cls.type.full_name}"} for cls in classes},
        "bindings": {"kafka": {"topic": topic, "partitions": PARTITIONS, "bindingVersion": "0.5.0"}},
    }


def _message(cls: type[Event]) -> Document:
    """One event type. Its schema is open: a consumer must accept what a newer producer adds."""
    schema = cls.model_json_schema(mode="serialization")
    schema = _whole(schema, schema.pop("$defs", {}))
    headers = {"type": "object", "properties": {"ce_type": {"type": "string", "const": cls.type.full_name}}}
    key = {"type": "string", "description": f"{cls.type.key_field} of the event."}
    return {
        "name": cls.type.full_name,
        "title": cls.__name__,
        "summary": schema.pop("description"),
        "contentType": "application/json",
        "headers": headers,
        "payload": schema,
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
    }


def _whole(node: Any, parts: Mapping[str, Any]) -> Any:  # Any: whatever a JSON schema holds
    """A schema that refers to nothing outside it, and is open."""
    if isinstance(node, list):
        return [_whole(one, parts) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = {**parts[node["$ref"].removeprefix("#/$defs/")], **node}
    return {name: _whole(value, parts) for name, value in node.items() if name not in ("$ref", "additionalProperties")}


def _operations(classes: Sequence[type[Event]], subscriptions: Mapping[str, Sequence[type[Event]]]) -> Document:
    """What each service sends, and what it receives from each topic."""
    sent: Document = {
        f"{topic.partition('.')[0]}-sends": _operation("send", topic, [cls for cls in classes if cls.type.topic == topic])
        for topic in _topics(classes)
    }
    received: Document = {
        f"{service}-receives-{topic}": _operation("receive", topic, [cls for cls in classes if cls in wanted and cls.type.topic == topic])
        for service, wanted in subscriptions.items()
        for topic in _topics(wanted)
    }
    return sent | received


def _operation(action: str, topic: str, classes: Sequence[type[Event]]) -> Document:
    messages = [{"$ref": f"#/channels/{topic}/messages/{cls.type.full_name}"} for cls in classes]
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "messages": messages}
