"""How to reach a cluster, and what every topic in it must be like."""

from dataclasses import dataclass
from typing import Any

from shared.events.registry import MAX_EVENT_BYTES

MAX_BATCH_BYTES = 2 * MAX_EVENT_BYTES
"""Of one batch of one partition: room for the largest event and its envelope, so that a batch of one always fits."""

TOPIC_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": str(30 * 24 * 3600 * 1000),
    "max.message.bytes": str(MAX_BATCH_BYTES + 64 * 1024),
    "unclean.leader.election.enable": "false",
}
"""Settings of every topic, created by the deployment and verified at each start; replication differs between installations."""


@dataclass(frozen=True)
class KafkaSettings:
    """How to reach Kafka, and as whom."""

    bootstrap: str
    client_id: str
    username: str = ""
    password: str = ""
    instance_id: str = ""
    session_timeout_ms: int = 10_000
    request_seconds: float = 15.0
    """How long anything that is asked of the cluster may take before it counts as failed."""
    namespace: str = ""
    """Put before every topic and group name, where several installations share a cluster."""

    def connection(self) -> dict[str, Any]:  # Any: keyword arguments of aiokafka's clients
        """Arguments that every client takes."""
        common: dict[str, Any] = {  # Any: as above
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "request_timeout_ms": int(self.request_seconds * 1000),
        }
        if self.username:
            common |= {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return common
