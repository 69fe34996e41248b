"""Run inside a container of sessions, as sessions: puts records that are no events into a partition of its own topic."""

import asyncio
import sys
from pathlib import Path

from aiokafka import AIOKafkaProducer


async def write(password: str, partition: int, count: int) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers="kafka:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="sessions",
        sasl_plain_password=password,
        enable_idempotence=False,
        acks="all",
    )
    await producer.start()
    try:
        for number in range(count):
            await producer.send_and_wait("sessions.events", b"no event", key=f"no-key-{number}".encode(), partition=partition)
    finally:
        await producer.stop()


asyncio.run(write(Path("/run/secrets/sessions-kafka-password").read_text().strip(), int(sys.argv[1]), int(sys.argv[2])))
