"""deploy/kafka is what the code says: rights from the subscriptions, topics from the events."""

from services import kafka_access
from services.api_documents import built
from tests.deploy.compose_rules import ROOT, SERVICES, load

FOLDER = ROOT / "deploy/kafka"


def test_the_rights_are_those_that_the_services_need() -> None:
    assert (FOLDER / "acls.txt").read_text().splitlines() == kafka_access.grants(built())


def test_the_topics_are_those_that_the_services_write() -> None:
    assert (FOLDER / "topics.txt").read_text().splitlines() == kafka_access.topics()


def test_every_principal_gets_its_password_from_a_secret() -> None:
    principals = {line.split()[0].removeprefix("User:") for line in (FOLDER / "acls.txt").read_text().splitlines()}
    assert principals == set(SERVICES)
    assert {f"{principal}-kafka-password" for principal in principals} <= set(load()["services"]["kafka-init"]["secrets"])


def test_nobody_may_do_anything_that_is_not_written_down() -> None:
    properties = (FOLDER / "server.properties").read_text().splitlines()
    assert "allow.everyone.if.no.acl.found=false" in properties
    assert "auto.create.topics.enable=false" in properties
    assert not any("password" in line for line in properties if not line.startswith("#"))
