"""A task in FHIR R4. It is made of what the JSON API says of the task to the same reader, so it cannot say more.

What other services own, such as the patient, is named by reference; only tasks can be read here.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from fastapi.responses import Response

from services.followup.roles import WORKERS
from services.followup.tasks import queries
from services.followup.tasks.api import READ, shown
from services.followup.tasks.in_force import QueueInForce
from services.followup.tasks.schemas import TaskDetail
from shared.web import FHIR_JSON, Call, Router, access
from shared.web.fhir import FHIR, FhirResponse, Resource, coded, described, reference, resource_response

_FOCUS = {"Infusion": "Procedure", "CheckIn": "QuestionnaireResponse", "Course": "CarePlan"}
"""What a task is about, as FHIR R4 calls it."""
Format = Annotated[Literal["json", "application/json", "application/fhir+json"] | None, Query(alias="_format")]


def fhir_routes(queue: QueueInForce) -> Router:
    """Tasks by id."""
    router = Router(prefix="/fhir", tags=["Task"], body=FHIR_JSON, answers=FHIR)

    @router.get("/Task/{task_id}", response_class=FhirResponse, responses=described("Task", "meta", "status", "intent", "code", "for"))
    @access(READ, system_or_person=WORKERS, phi="read")
    async def read_task(task_id: UUID, call: Call, _format: Format = None) -> Response:
        """One task as FHIR R4 has it, for whoever may read it as JSON, and no more of it."""
        return resource_response(task_resource(await shown(call, queue, await queries.get_task(call.db, task_id))))

    return router


def task_resource(task: TaskDetail) -> Resource:
    """The resource of a task as its reader is told of it."""
    said = task.model_dump(mode="json")
    closed = task.closed_at is not None
    return {
        "resourceType": "Task",
        "id": said["task_id"],
        "meta": {"versionId": str(task.version), "lastUpdated": said["changed_at"]},
        "basedOn": [reference("CarePlan", task.plan_id)],
        "status": said["status"],
        "statusReason": coded("task-status-reason", task.status_reason),
        "businessStatus": coded("task-business-status", "overdue" if task.overdue else task.business_status),
        "intent": "order",
        "priority": said["priority"],
        "code": coded("task", task.kind, task.title),
        "description": task.to_do,
        "focus": _focus(task),
        "for": reference("Patient", task.patient_id, task.patient_number),
        "executionPeriod": {"end": said["performed_at"] or said["closed_at"]} if closed else None,
        "authoredOn": said["created_at"],
        "lastModified": said["changed_at"],
        "performerType": [{"text": task.who_may}],
        "owner": reference("Practitioner", task.owner_id),
        "reasonCode": coded("task-reason", task.reason, task.why),
        "note": [{"text": text} for text in (*task.lists, task.note) if text],
        "restriction": {"period": _window(task, said)},
        "output": [{"type": {"text": "Outcome"}, "valueCodeableConcept": coded("task-outcome", task.outcome)}] if task.outcome else None,
    }


def _focus(task: TaskDetail) -> Resource | None:
    kind, _, focus_id = task.focus.partition("/")
    return reference(_FOCUS[kind], UUID(focus_id)) if kind in _FOCUS else None


def _window(task: TaskDetail, said: dict[str, Any]) -> Resource:  # Any: JSON values
    """When it is to be done. A corrected window may begin after a due time that was kept: FHIR has no such period, the end counts."""
    begins = task.window_starts_at is not None and task.window_starts_at <= task.due_at
    return {"start": said["window_starts_at"] if begins else None, "end": said["due_at"]}
