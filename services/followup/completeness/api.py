"""What the audit of completeness found, for clinic systems."""

from services.followup.completeness import queries
from services.followup.completeness.schemas import Completeness, GapOut
from shared.web import Call, Page, Router, access, page_of

router = Router(prefix="/followup/v1", tags=["Audit"])


@router.get("/completeness", response_model=Completeness)
@access("system/Audit.r", phi="read")
async def show_completeness(call: Call, page: Page) -> Completeness:
    """Ended infusions that lack their follow-up, the longest known first, and when sessions was last asked."""
    found = await page_of(call, queries.open_gaps(call.db), page)
    return Completeness.of([GapOut.of(gap) for gap in found.items], found.next, await queries.last_run(call.db))
