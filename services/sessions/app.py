"""Composition root of sessions: what it is made of, and which event goes to which handler."""

from collections.abc import Mapping

from services.sessions import handlers
from services.sessions.corrections.api import correction_routes
from services.sessions.infusions.api import audit_routes, step_routes, visit_routes
from services.sessions.infusions.limits import INFUSION_RECORD
from services.sessions.limits import LimitsInForce
from services.sessions.roles import AUDITORS, DOCUMENTS
from services.sessions.settings import Settings
from services.sessions.vitals.api import vital_routes
from services.sessions.vitals.limits import VITAL_SIGNS
from shared.bus import Bus
from shared.clock import Clock
from shared.db import Database
from shared.dispatch import Handler, each
from shared.documents.api import with_documents
from shared.documents.in_force import Documents
from shared.events import Event, followup, intake
from shared.pipeline import with_pipeline
from shared.security.projection import on_client_changed, on_practitioner_changed
from shared.service import Service
from shared.telemetry import Metrics
from shared.trail import with_trail
from shared.web import Router

SUBSCRIPTIONS: Mapping[type[Event], Handler] = {
    intake.ClinicChanged: each(handlers.on_clinic_changed),
    intake.ClientChanged: on_client_changed,
    intake.PractitionerChanged: on_practitioner_changed,
    intake.PatientChanged: each(handlers.on_patient_changed),
    intake.PatientDeceased: each(handlers.on_patient_deceased),
    intake.PatientWithdrawn: each(handlers.on_patient_withdrawn),
    intake.ConsentChanged: each(handlers.on_consent_changed),
    intake.ConsentSigned: each(handlers.on_consent_signed),
    intake.ConsentRevoked: each(handlers.on_consent_revoked),
    intake.CourseChanged: each(handlers.on_course_changed),
    followup.InfusionEventRequested: handlers.on_infusion_event_requested,
}
"""Which event goes where."""


def build(settings: Settings, bus: Bus, clock: Clock) -> Service:
    """The service, wired and not yet running."""
    documents = Documents([INFUSION_RECORD, VITAL_SIGNS])
    service = Service(
        name="sessions",
        settings=settings,
        database=Database(settings.database_url.get_secret_value(), name="sessions", pool_size=settings.database_pool_size),
        bus=bus,
        clock=clock,
        metrics=Metrics("sessions"),
        routers=routes(LimitsInForce(documents)),
        subscriptions=SUBSCRIPTIONS,
        records={"infusion_id": "infusion"},
    )
    return with_trail(with_pipeline(with_documents(service, documents, DOCUMENTS)), readers=AUDITORS)


def routes(limits: LimitsInForce) -> list[Router]:
    """All routes, judged by the limits of whichever clinic asks."""
    return [visit_routes(limits), step_routes(limits), audit_routes(), vital_routes(limits), correction_routes(limits)]
