"""The written list that docker-compose.yml is held against: each rule takes the file as plain values and names what breaks it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Part = Mapping[str, Any]  # Any: a part of a YAML document
Document = dict[str, Any]  # Any: as above
Rule = Callable[[Part], Iterator[str]]

ROOT = Path(__file__).parents[2]
SERVICES = ("intake", "sessions", "followup")
STORES = {"postgres": "/var/lib/postgresql", "kafka": "/var/lib/kafka/data"}
CAPABILITIES = {"gateway": ["NET_BIND_SERVICE"]}
"""What may be added back, and to whom: the official Caddy program carries it and is not started without it."""
OPEN_NETWORKS = {"edge": {"gateway"}, "outbound": {"followup"}}
"""Networks with a way out or in, and who may be on them."""
OFFICIAL = {"postgres:18", "apache/kafka:4.3.0", "caddy:2", "prom/prometheus:v3.5.0"}

_VARIABLE = re.compile(r"\$\{(\w+)(?::?-((?:[^{}]|\$\{[^{}]*\})*))?\}")


def load(path: Path = ROOT / "docker-compose.yml") -> Document:
    """The file with every variable at its default, as where nothing is configured."""
    text = path.read_text()
    while _VARIABLE.search(text):
        text = _VARIABLE.sub(lambda found: found[2] or "", text)
    document: Document = yaml.safe_load(text)
    return document


def parts(compose: Part) -> Iterator[tuple[str, Part]]:
    yield from compose["services"].items()


def is_one_shot(part: Part) -> bool:
    return bool(part.get("restart") == "no")


def runs_as_a_user_that_is_not_root(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(part.get("user", ""))):
            yield f"{name}: user is {part.get('user')!r}"


def has_a_read_only_root(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        if part.get("read_only") is not True:
            yield f"{name}: its root can be written"


def drops_all_capabilities(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        if part.get("cap_drop") != ["ALL"]:
            yield f"{name}: keeps capabilities"
        if part.get("cap_add", []) != CAPABILITIES.get(name, []):
            yield f"{name}: is given {part.get('cap_add', [])}"


def gains_no_privileges(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        if "no-new-privileges:true" not in part.get("security_opt", []):
            yield f"{name}: may gain privileges"
        if any("unconfined" in option for option in part.get("security_opt", [])):
            yield f"{name}: has no profile"
        for key in {"privileged", "devices", "pid", "ipc", "network_mode", "userns_mode", "cgroup_parent"} & part.keys():
            yield f"{name}: {key} is set"


def is_limited(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        for limit in ("mem_limit", "pids_limit"):
            if not part.get(limit):
                yield f"{name}: has no {limit}"
        if part.get("logging", {}).get("options", {}).keys() < {"max-size", "max-file"}:
            yield f"{name}: its log grows for ever"


def publishes_only_the_gateway_on_loopback(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        for port in part.get("ports", []):
            if name != "gateway" or not re.fullmatch(r"127\.0\.0\.1:\d+:8443", str(port)):
                yield f"{name}: publishes {port}"


def lets_in_and_out_only_where_listed(compose: Part) -> Iterator[str]:
    for network, settings in compose["networks"].items():
        if network not in OPEN_NETWORKS and not (settings or {}).get("internal"):
            yield f"network {network}: has a way out"
    for name, part in parts(compose):
        if not part.get("networks"):
            yield f"{name}: is on the default network"
        for network in part.get("networks", []):
            if name not in OPEN_NETWORKS.get(network, {name}):
                yield f"{name}: is on {network}"
        if name in STORES and part.get("networks") != ["data"]:
            yield f"{name}: can be reached from {part.get('networks')}"
        if name == "gateway" and "data" in part.get("networks", []):
            yield "gateway: reaches the stores"


def has_a_health_check(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        check = part.get("healthcheck", {})
        if not is_one_shot(part) and ("test" not in check or check.get("disable")):
            yield f"{name}: has no health check"


def names_a_tag_and_no_digest(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        image = str(part.get("image", ""))
        ours = re.fullmatch(r"afterglow/[a-z]+:\d+\.\d+\.\d+", image) and "build" in part
        if not ours and image not in OFFICIAL:
            yield f"{name}: image is {image!r}"


def takes_secrets_from_files(compose: Part) -> Iterator[str]:
    for secret, source in compose["secrets"].items():
        if source != {"file": f"./deploy/secrets/{secret}"}:
            yield f"secret {secret}: comes from {source}"
    for name, part in parts(compose):
        for variable, value in part.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|_KEY|TOKEN|CREDENTIAL", variable) and not str(value).startswith("/run/secrets/"):
                yield f"{name}: {variable} is in the environment"
            if re.search(r"://[^/@]*:[^/@]+@", str(value)):
                yield f"{name}: {variable} holds a password"
            if variable.endswith("_FILE") and str(value).removeprefix("/run/secrets/") not in part.get("secrets", []):
                yield f"{name}: {variable} names a file that it is not given"


def gives_a_secret_only_to_its_owner(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        for secret in part.get("secrets", []):
            if name not in _owners(secret):
                yield f"{name}: is given {secret}"


def _owners(secret: str) -> set[str]:
    """Who may be given a secret: whom its name begins with, and the one-shot part that needs both sides."""
    owner, _, what = secret.partition("-")
    if what == "owner-password":
        return {"migrate"}
    helpers = {"database-password": {"migrate"}, "admin-password": {"migrate"} if owner == "postgres" else {"kafka-init"}}
    helpers["kafka-password"] = {"kafka-init"}
    return {owner, *helpers.get(what, set())}


def mounts_from_the_host_read_only(compose: Part) -> Iterator[str]:
    for name, part in parts(compose):
        for volume in part.get("volumes", []):
            source, _, _ = str(volume).partition(":")
            if source not in compose["volumes"] and not re.fullmatch(r"\./deploy/[a-z]+:/etc/[a-z]+:ro", str(volume)):
                yield f"{name}: mounts {volume}"


def keeps_data_in_named_volumes(compose: Part) -> Iterator[str]:
    for name, place in STORES.items():
        if not any(str(volume) == f"{name}-data:{place}" for volume in compose["services"][name].get("volumes", [])):
            yield f"{name}: loses its data"


def can_have_replicas(compose: Part) -> Iterator[str]:
    for name in SERVICES:
        part = compose["services"][name]
        for key in {"container_name", "hostname", "ports"} & part.keys():
            yield f"{name}: {key} can be had once"
        if f"{name.upper()}_KAFKA_INSTANCE_ID" in part["environment"]:
            yield f"{name}: replicas would share a name in their group"


def waits_for_migrations_and_rights(compose: Part) -> Iterator[str]:
    for name in SERVICES:
        waits = compose["services"][name].get("depends_on", {})
        for what in ("migrate", "kafka-init"):
            if waits.get(what) != {"condition": "service_completed_successfully"}:
                yield f"{name}: does not wait for {what}"


def is_meant_for_production(compose: Part) -> Iterator[str]:
    for name in SERVICES:
        environment = compose["services"][name]["environment"]
        if environment.get("AFTERGLOW_ENV") != "production" or not environment["AFTERGLOW_PUBLIC_URL"].startswith("https://"):
            yield f"{name}: is not in production where nothing is configured"
        for variable in {"AFTERGLOW_FAILPOINTS", f"{name.upper()}_OUTBOX_FOLDER"} & environment.keys():
            yield f"{name}: {variable} is for demos"


def may_end_in_peace(compose: Part) -> Iterator[str]:
    for name in (*SERVICES, *STORES):
        if compose["services"][name].get("stop_grace_period") != "30s":
            yield f"{name}: is killed before it has stopped"


RULES: Sequence[Rule] = (
    runs_as_a_user_that_is_not_root,
    has_a_read_only_root,
    drops_all_capabilities,
    gains_no_privileges,
    is_limited,
    publishes_only_the_gateway_on_loopback,
    lets_in_and_out_only_where_listed,
    has_a_health_check,
    names_a_tag_and_no_digest,
    takes_secrets_from_files,
    gives_a_secret_only_to_its_owner,
    mounts_from_the_host_read_only,
    keeps_data_in_named_volumes,
    can_have_replicas,
    waits_for_migrations_and_rights,
    is_meant_for_production,
    may_end_in_peace,
)
