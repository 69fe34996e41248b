"""Fixtures of the pipeline. A test that asks for ``pipeline`` runs over the local bus and over a real Kafka."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.broker import Broker
from tests.support.databases import Databases
from tests.support.pipeline import KafkaPipeline, LocalPipeline, Parties, Pipeline


@pytest_asyncio.fixture(loop_scope="session")
async def local(databases: Databases) -> AsyncIterator[LocalPipeline]:
    async with LocalPipeline(Parties(databases)) as pipeline:
        yield pipeline


@pytest_asyncio.fixture(loop_scope="session")
async def kafka(databases: Databases, broker: Broker) -> AsyncIterator[KafkaPipeline]:
    async with KafkaPipeline(Parties(databases), broker) as pipeline:
        yield pipeline


# The first test of a worker also waits for its broker to start.
@pytest.fixture(params=["local", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.timeout(300)])])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    chosen: Pipeline = request.getfixturevalue(request.param)
    return chosen
