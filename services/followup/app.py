"""Composition root of followup: what it is made of, which event and which timer goes to which handler."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup import handlers as on
from services.followup.calls import Calls
from services.followup.checkins.api import check_in_routes
from services.followup.checkins.birth_dates import BirthDates
from services.followup.checkins.old_birth_dates import OldBirthDates
from services.followup.checkins.policy import load_setup
from services.followup.checkins.timers import timer_handlers
from services.followup.completeness.api import audit_routes
from services.followup.completeness.api import router as completeness_router
from services.followup.completeness.audit import Auditor
from services.followup.outreach.channels import Channel, FileChannel, SmtpChannel
from services.followup.outreach.delivery import Letters
from services.followup.outreach.policy import load_policy as load_outreach_policy
from services.followup.outreach.texts import load_texts
from services.followup.outreach.worker import Outreach
from services.followup.pages.api import patient_pages
from services.followup.pages.means import PageMeans
from services.followup.plans.api import comparison_routes, origin_routes
from services.followup.plans.api import router as plans_router
from services.followup.plans.entry_files import shipped_lists
from services.followup.plans.means import Means
from services.followup.plans.pinned import Pinned
from services.followup.plans.timers import Waking
from services.followup.plans.waking import COURSE_WEEK
from services.followup.plans.waking import WAKE as PLAN_WAKE
from services.followup.roles import AUDITORS, DOCUMENTS
from services.followup.settings import Settings
from services.followup.staff.credentials import OneTimeLink, StaffSession
from services.followup.staff.pages import entrance
from services.followup.tasks import timers as task_timers
from services.followup.tasks.api import queue_routes, work_routes
from services.followup.tasks.commands import CLOCK, WAKE
from services.followup.tasks.fhir import fhir_routes
from services.followup.tasks.in_force import QueueInForce
from services.followup.tasks.leavers import Leavers
from services.followup.tasks.pages import queue_pages
from services.followup.tasks.policy import TASK_POLICY
from services.followup.tasks.wording import shipped_texts
from shared.bus import Bus
from shared.clock import Clock
from shared.db import Database
from shared.dispatch import Handler, each
from shared.documents.api import with_documents
from shared.documents.in_force import Documents
from shared.events import Event, intake, sessions
from shared.pipeline import with_pipeline
from shared.security.projection import on_client_changed
from shared.security.staff_links import StaffLinks
from shared.service import Service
from shared.telemetry import Metrics
from shared.trail import with_trail
from shared.web import Router

T = TypeVar("T")


def build(settings: Settings, bus: Bus, clock: Clock) -> Service:
    """The service, wired and not yet running."""
    metrics = Metrics("followup")
    database = Database(settings.database_url.get_secret_value(), name="followup", pool_size=settings.database_pool_size)
    documents = Documents([TASK_POLICY])
    setup, sending, queue = load_setup(), load_outreach_policy(), QueueInForce(documents, shipped_texts())
    lists = Pinned(shipped_lists(setup.forms.of_check_in))
    means = Means(clock, TASK_POLICY.default, lists, documents)
    calls = Calls(settings, metrics)
    link_secret = settings.link_secret.get_secret_value().encode()
    letters = Letters(link_secret, settings.public_url, load_texts())
    outreach = Outreach(
        database, clock, contacts=calls.intake, channels=channels_of(settings), policy=sending, letters=letters, metrics=metrics,
        lease_seconds=settings.outreach_lease_seconds,
    )  # fmt: skip
    auditor = Auditor(
        database, clock, calls.sessions, metrics, every_seconds=settings.audit_every_seconds,
        look_back=timedelta(days=settings.audit_look_back_days), grace=timedelta(seconds=settings.audit_grace_seconds),
    )  # fmt: skip
    waking = Waking(metrics)
    leavers = Leavers(database, clock, documents, metrics)
    old_birth_dates = OldBirthDates(database, BirthDates(link_secret), metrics)
    service = Service(
        name="followup",
        settings=settings,
        database=database,
        bus=bus,
        clock=clock,
        metrics=metrics,
        routers=[
            queue_routes(queue),
            work_routes(queue),
            fhir_routes(queue),
            plans_router,
            origin_routes(means),
            comparison_routes(means),
            check_in_routes(setup.forms),
            completeness_router,
            audit_routes(auditor),
            patient_pages(PageMeans(database, clock, setup, settings.public_url, link_secret, calls.intake)),
            *staff_pages(settings, queue),
        ],
        records={"task_id": "care_task", "plan_id": "plan", "check_in_id": "check_in"},
        subscriptions=subscriptions(means),
        timers={
            CLOCK: partial(task_timers.come_due, clock),
            WAKE: partial(task_timers.wake, clock),
            PLAN_WAKE: settled(waking.come_due, means),
            COURSE_WEEK: settled(waking.come_due, means),
            **timer_handlers(clock, setup=setup),
        },
        samples={"messages": outreach.measure},
        workers={
            "outreach": outreach.run,
            "old-birth-dates": old_birth_dates.run,
            "leavers": leavers.run,
            "completeness": auditor.run,
            "calls": calls.run,
        },
    )
    return with_trail(with_pipeline(with_documents(service, documents, DOCUMENTS)), readers=AUDITORS)


def staff_pages(settings: Settings, queue: QueueInForce) -> list[Router]:
    """Production has none: nobody can sign in yet."""
    if settings.env == "production":
        return []
    session = StaffSession(secure=settings.public_url.startswith("https://"))
    links = StaffLinks(settings.link_secret.get_secret_value().encode())
    return [entrance(OneTimeLink(links), session), queue_pages(session, queue)]


def subscriptions(means: Means) -> Mapping[type[Event], Handler]:
    """Which event goes where."""
    ahead, ended, none = (settled(handler, means) for handler in (on.on_infusion_ahead, on.on_infusion_ended, on.on_no_infusion))
    return {
        sessions.InfusionScheduled: ahead,
        sessions.InfusionStarted: ahead,
        sessions.InfusionCompleted: ended,
        sessions.InfusionStoppedEarly: ended,
        sessions.InfusionLeftAgainstAdvice: ended,
        sessions.InfusionTransferred: ended,
        sessions.InfusionAmended: ended,
        sessions.InfusionNotDone: none,
        sessions.InfusionNoShow: none,
        sessions.InfusionCancelled: none,
        sessions.InfusionEnteredInError: each(settled(on.on_infusion_entered_in_error, means)),
        sessions.InfusionReviewNeeded: each(settled(on.on_review_needed, means)),
        sessions.InfusionReviewed: each(settled(on.on_reviewed, means)),
        intake.ClinicChanged: each(on.on_clinic_changed),
        intake.ClientChanged: on_client_changed,
        intake.PractitionerChanged: settled(on.on_practitioner_changed, means),
        intake.PatientChanged: each(settled(on.on_patient_changed, means)),
        intake.PatientDeceased: each(settled(on.on_patient_deceased, means)),
        intake.PatientWithdrawn: each(settled(on.on_patient_withdrawn, means)),
        intake.ConsentChanged: each(settled(on.on_consent_changed, means)),
        intake.ConsentSigned: each(settled(on.on_consent_signed, means)),
        intake.ConsentRevoked: each(settled(on.on_consent_revoked, means)),
        intake.CourseChanged: each(settled(on.on_course_changed, means)),
    }


def settled(handler: Callable[[Means, AsyncSession, T], Awaitable[None]], means: Means) -> Callable[[AsyncSession, T], Awaitable[None]]:
    """The handler with what counts in the clinic of whatever it is given."""

    async def handle(db: AsyncSession, given: T) -> None:
        await handler(await means.in_clinic(db), db, given)

    return handle


def channels_of(settings: Settings) -> dict[str, Channel]:
    """What carries messages: a mail server, or a folder in demos and tests. A channel that is not here becomes a call by a person."""
    if settings.outbox_folder is not None:
        return {name: FileChannel(settings.outbox_folder) for name in ("email", "sms")}
    if not settings.smtp_host:
        return {}
    channel = SmtpChannel(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_sender,
        username=settings.smtp_username or None,
        password=settings.smtp_password.get_secret_value() or None,
        tls=settings.smtp_tls,
    )
    return {"email": channel}
