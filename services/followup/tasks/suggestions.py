"""Who is suggested for open work: whom the course's care team names for its kind, if they work here and may do it, read when it is shown.

Nothing of it is stored, so it follows the care team, the roles and who leaves, and can never be out of date.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.tasks.models import CareTask
from services.followup.tasks.policy import TaskPolicy
from services.followup.tasks.rules import OPEN, may_work
from shared.db import clinic_of


async def suggested_owners(db: AsyncSession, policy: TaskPolicy, tasks: Sequence[CareTask]) -> Mapping[UUID, UUID]:
    """By task, for those of these that are open and have somebody. One statement, and none where no kind of them is suggested."""
    asking = {task.task_id: policy.kinds[task.kind] for task in tasks if task.status in OPEN and task.kind in policy.kinds}
    asking = {task_id: kind for task_id, kind in asking.items() if kind.suggested}
    if not asking:
        return {}
    members: dict[UUID, dict[str, Row[Any]]] = defaultdict(dict)  # Any: columns of several types
    for row in await db.execute(_MEMBERS, {"clinic_id": clinic_of(db), "ids": sorted(asking)}):
        members[row.task_id][row.part] = row
    found = {}
    for task_id, kind in asking.items():
        those = (members[task_id].get(part) for part in kind.suggested)
        first = next((one.practitioner_id for one in those if one is not None and may_work(kind, one.roles)), None)
        if first is not None:
            found[task_id] = first
    return found


_MEMBERS = text(
    """
    SELECT t.task_id, member.part, p.practitioner_id, p.roles
    FROM care_task t
    LEFT JOIN infusion i ON i.clinic_id = t.clinic_id AND i.infusion_id = t.infusion_id
    LEFT JOIN course c ON c.clinic_id = t.clinic_id AND c.course_id = i.course_id
    CROSS JOIN LATERAL (
        VALUES ('therapist', CASE WHEN c.responsible_clinician_id IS NULL THEN t.suggested_owner_id ELSE c.therapist_id END),
               ('coordinator', c.coordinator_id), ('responsible-clinician', c.responsible_clinician_id)
    ) AS member(part, practitioner_id)
    JOIN platform.practitioner p ON p.clinic_id = t.clinic_id AND p.practitioner_id = member.practitioner_id AND p.active
    WHERE t.clinic_id = CAST(:clinic_id AS uuid) AND t.task_id = ANY(CAST(:ids AS uuid[]))
    """
)
"""Every course has a responsible clinician: without one nothing was told of its care team, and whom the infusion named counts."""
