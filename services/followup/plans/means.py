"""What plans are made with besides the database: the business clock and the versioned data. Built once, handed in."""

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.plans.facts import Cause
from services.followup.plans.pinned import Pinned
from services.followup.subjects.commands import Standing
from services.followup.subjects.models import PatientStatus
from services.followup.tasks.policy import TASK_POLICY, CancelCause, TaskPolicy
from shared.clock import Clock
from shared.documents.in_force import Documents
from shared.events.zones import zone_of

_DEPARTURE = {
    CancelCause.DEATH: Cause.DEATH,
    CancelCause.WITHDRAWAL: Cause.WITHDRAWAL,
    CancelCause.TREATMENT_CONSENT_REVOKED: Cause.CONSENT_REVOKED,
}


@dataclass(frozen=True, slots=True)
class Means:
    """Clock, the policy of the queue, and the protocols by which patients are followed."""

    clock: Clock
    policy: TaskPolicy
    followed_by: Pinned
    documents: Documents | None = None
    """Of the clinics; without them the policy is everybody's."""

    async def in_clinic(self, db: AsyncSession) -> "Means":
        """With the policy that counts now in the clinic of this transaction."""
        if self.documents is None:
            return self
        policy = await self.documents.in_force(db, TASK_POLICY, self.now())
        kept = {kind: frozenset(_DEPARTURE[cause] for cause in causes) for kind, causes in policy.kept_otherwise().items()}
        return replace(self, policy=policy, followed_by=self.followed_by.leaving_open(kept) if kept else self.followed_by)

    def now(self) -> datetime:
        """Business time."""
        return self.clock.now()


def cause_of(standing: Standing) -> Cause | None:
    """Why a patient is not followed up any more. Death counts before withdrawal, withdrawal before consent."""
    if standing.status is PatientStatus.DECEASED:
        return Cause.DEATH
    if standing.status is PatientStatus.WITHDRAWN:
        return Cause.WITHDRAWAL
    return Cause.CONSENT_REVOKED if standing.treatment_revoked else None


def clinic_zone(standing: Standing, otherwise: ZoneInfo) -> ZoneInfo:
    """The zone of the clinic's business days; the patient's as long as the clinic's is not known."""
    return zone_of(standing.clinic_time_zone) if standing.clinic_time_zone else otherwise
