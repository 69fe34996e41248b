"""What the audit of completeness found, for clinic systems, and for the operator who has it look now."""

from services.followup.completeness import queries
from services.followup.completeness.audit import Auditor
from services.followup.completeness.schemas import AuditAsked, AuditFound, Completeness, GapOut
from services.followup.roles import WORKERS
from shared.web import Call, Page, Router, access, operator_access, page_of

router = Router(prefix="/followup/v1", tags=["Audit"])


@router.get("/completeness", response_model=Completeness)
@access("system/Audit.r", system_or_person=WORKERS, phi="read")
async def show_completeness(call: Call, page: Page) -> Completeness:
    """Ended infusions that lack their follow-up, the longest known first, and when sessions was last asked."""
    found = await page_of(call, queries.open_gaps(call.db), page)
    return Completeness.of([GapOut.of(gap) for gap in found.items], found.next, await queries.last_run(call.db))


def audit_routes(auditor: Auditor) -> Router:
    """The operator's side: counts by clinic and by what is missing, no patient."""
    routes = Router(prefix="/followup/v1/pipeline/audit", tags=["Pipeline"])

    @routes.post("", status_code=202)
    @operator_access("system/Pipeline.u")
    async def start_audit(call: Call) -> AuditAsked:
        """Have every clinic looked at now; what is missing is asked for again. It works after the answer has left."""
        auditor.ask()
        return AuditAsked(asked_at=call.now)

    @routes.get("")
    @operator_access("system/Pipeline.r")
    async def show_audit(call: Call) -> AuditFound:
        """What the last look at each clinic found."""
        return AuditFound(items=await queries.found_everywhere(call.db))

    return routes
