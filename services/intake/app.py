"""Intake, wired: settings, routes, and the work besides requests."""

from collections.abc import Mapping

from services.intake.clinics import api as clinics
from services.intake.consents import api as consents
from services.intake.consents.commands import tell_untold as tell_consents
from services.intake.courses import api as courses
from services.intake.courses.commands import tell_untold as tell_courses
from services.intake.directory import api as directory
from services.intake.identity import api as identity
from services.intake.identity.registration import built_in
from services.intake.identity.tokens import SigningKeys, TokenIssuer
from services.intake.identity.workers import Housekeeping
from services.intake.patients import api as patients
from services.intake.patients.commands import tell_untold as tell_patients
from services.intake.policy import INTAKE_POLICY, PolicyInForce
from services.intake.practitioners import api as practitioners
from services.intake.retelling import Batch, Retelling
from services.intake.roles import AUDITORS, DOCUMENTS
from services.intake.settings import Settings
from shared.bus import Bus
from shared.clock import Clock
from shared.db import Database
from shared.documents.api import with_documents
from shared.documents.in_force import Documents
from shared.pipeline import with_pipeline
from shared.security.tokens import StaticJwks
from shared.service import Service
from shared.telemetry import Metrics, logger
from shared.trail import with_trail

NAME = "intake"
UNTOLD: Mapping[str, Batch] = {"consents": tell_consents, "patients": tell_patients, "courses": tell_courses}
"""What a release before has not told, by what it is about."""


def build(settings: Settings, bus: Bus, clock: Clock) -> Service:
    """The service, ready to run. It consumes no events and verifies tokens with the keys that it signs them with."""
    documents = Documents([INTAKE_POLICY])
    policy = PolicyInForce(documents)
    metrics = Metrics(NAME)
    database = Database(settings.database_url.get_secret_value(), name=NAME, pool_size=settings.database_pool_size)
    issuer = TokenIssuer(SigningKeys(settings.signing_keys.get_secret_value()), issuer=settings.token_issuer)
    housekeeping = Housekeeping(database, clock, built_in(settings.built_in_clients, _left_out), metrics)
    service = Service(
        name=NAME,
        settings=settings,
        database=database,
        bus=bus,
        clock=clock,
        metrics=metrics,
        jwks=StaticJwks(issuer.keys.public()),
        routers=[
            clinics.router,
            identity.router,
            identity.token_routes(issuer),
            practitioners.router,
            patients.routes(policy),
            consents.routes(policy),
            courses.routes(policy),
            directory.router,
        ],
        records={"consent_id": "consent", "course_id": "course"},
        workers={"identity": housekeeping.run, "retelling": Retelling(database, clock, metrics, UNTOLD).run},
        beginnings={"clients-unregistered": housekeeping.registering},
    )
    return with_trail(with_pipeline(with_documents(service, documents, DOCUMENTS)), readers=AUDITORS)


def _left_out(client_id: str, count: int) -> None:
    logger("identity", service=NAME).warning("identity.scopes_left_out", client_id=client_id, count=count)
