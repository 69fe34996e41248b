"""Secrets of one installation, one file each: made once, never overwritten, readable by their owner only."""

import json
import os
import secrets
from pathlib import Path

from joserfc.jwk import ECKey, KeySet

from services import certificates
from shared.postgres import SERVICES

SERVICE_CLIENTS = {
    "followup": ("service/Directory.r", "service/Procedure.r"),
}
"""Services that call others, with the scopes of their token."""

GATEWAY_CERTIFICATE = "gateway-ca.crt"
"""What a caller of the compose gateway trusts."""
GATEWAY_KEY = "gateway-ca.key"

MAIL_PASSWORD = "followup-smtp-password"  # noqa: S105 - the name of a file
"""Given by the mail server's operator; empty until somebody writes it there."""

OPERATOR_CLIENT = "operator"
OPERATOR_SCOPES = (
    "system/Organization.c", "system/Organization.r", "system/Organization.u", "system/Client.c", "system/Client.r", "system/Client.u",
    "system/Pipeline.r", "system/Pipeline.u",
)  # fmt: skip


def generate(folder: Path) -> list[str]:
    """Make what is missing in ``folder``; returns the names of new files. Safe to run again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = []
    names = ["postgres-admin-password", "kafka-broker-password", "kafka-admin-password", "kafka-node-password", "followup-link-secret"]
    for service in SERVICES:
        names += [f"{service}-database-password", f"{service}-owner-password", f"{service}-kafka-password", f"{service}-cursor-key"]
    for name in names:
        made += _write(folder / name, secrets.token_urlsafe(36))
    made += _write(folder / "intake-signing-keys.json", _private_set("P-256", "ES256"))
    for client in (*SERVICE_CLIENTS, OPERATOR_CLIENT):
        made += _write(folder / f"{client}-client-key.json", _private_key("P-384", "ES384"))
    (folder / "intake-built-in-clients.json").unlink(missing_ok=True)
    _write(folder / "intake-built-in-clients.json", json.dumps(_built_in_clients(folder), indent=1))
    return made


def generate_for_containers(folder: Path) -> list[str]:
    """The same for the compose file, with the gateway's certificate authority; returns the names of new files. Safe to run again.

    Containers run as users of their own and are given single files, so these are readable; the folder keeps everybody else out.
    """
    made = generate(folder) + _write(folder / MAIL_PASSWORD, "")
    if not (folder / GATEWAY_KEY).exists():
        certificate, key = certificates.authority("Afterglow gateway")
        (folder / GATEWAY_CERTIFICATE).unlink(missing_ok=True)
        made += _write(folder / GATEWAY_CERTIFICATE, certificate) + _write(folder / GATEWAY_KEY, key)
    for file in folder.iterdir():
        file.chmod(0o600 if file.name == f"{OPERATOR_CLIENT}-client-key.json" else 0o444)
    folder.chmod(0o700)
    return made


def read(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def _built_in_clients(folder: Path) -> list[dict[str, object]]:
    """The clients that exist before anybody can register one: our own services and the operator, with their public keys."""
    clients: list[dict[str, object]] = []
    for client, scopes in (*SERVICE_CLIENTS.items(), (OPERATOR_CLIENT, OPERATOR_SCOPES)):
        key = ECKey.import_key(json.loads(read(folder, f"{client}-client-key.json")))
        public = key.as_dict(private=False) | {"kid": key.kid, "alg": "ES384", "use": "sig"}
        kind = "operator" if client == OPERATOR_CLIENT else "service"
        clients.append({"client_id": client, "kind": kind, "scopes": list(scopes), "jwks": {"keys": [public]}})
    return clients


def _private_key(curve: str, algorithm: str) -> str:
    key = ECKey.generate_key(curve, parameters={"alg": algorithm, "use": "sig", "kid": secrets.token_hex(8)}, private=True)
    return json.dumps(key.as_dict(private=True))


def _private_set(curve: str, algorithm: str) -> str:
    key = ECKey.generate_key(curve, parameters={"alg": algorithm, "use": "sig", "kid": secrets.token_hex(8)}, private=True)
    return json.dumps(KeySet([key]).as_dict(private=True))


def _write(path: Path, value: str) -> list[str]:
    if path.exists():
        return []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(value + "\n")
    return [path.name]
