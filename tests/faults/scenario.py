"""The frame of every scenario: a clinic at work, a fault in it, quiet afterwards, and the verdict of final state."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from tests.faults.checker import Verdict, judge, quiet
from tests.faults.clinic import Clinic
from tests.faults.installation import Installation
from tests.faults.report import Outcome, Report
from tests.support.waiting import eventually

SEED = 20261125


@dataclass
class Scenario:
    """One run. ``fault`` is the block during which something is broken; what the clinic did in it is counted."""

    name: str
    installation: Installation
    report: Report
    clinic: Clinic
    wanted: str = "whole"
    """What its end should be: ``whole``, or ``caught`` where a bug was planted."""
    spans: list[tuple[float, float]] = field(default_factory=list)

    @asynccontextmanager
    async def fault(self) -> AsyncIterator[None]:
        """What happens in this block happens under the fault: it ends with the fault, or with the last of several."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spans.append((began, time.monotonic()))

    def during(self, moments: Collection[float]) -> int:
        """How many of these moments lie under the fault."""
        return sum(began <= at <= ended for at in moments for began, ended in self.spans)

    @property
    def asked(self) -> int:
        """Requests that the clinic sent under the fault."""
        return self.during(self.clinic.system.asked)

    @property
    def answered(self) -> int:
        """Requests of the clinic that had their effect acknowledged under the fault."""
        return self.during(self.clinic.system.answered)

    @property
    def unanswered(self) -> int:
        """Requests under the fault whose connection broke or stayed silent."""
        return self.during(self.clinic.system.unanswered)

    @property
    def completed(self) -> int:
        return self.during(self.clinic.completed_at)

    async def verdict(self, injected: str, *, within: float = 240.0, foreign: Collection[UUID] = (), only_results: bool = False) -> Verdict:
        """Wait for quiet, judge, and leave a line in the report."""
        took = await quiet(self.installation, within=within)
        return await self.judged(injected, took, foreign=foreign, only_results=only_results)

    async def judged(self, injected: str, took: float, *, foreign: Collection[UUID] = (), only_results: bool = False) -> Verdict:
        """The verdict on how things are now, ``took`` seconds after the fault."""
        verdict = await judge(self.installation, self.clinic.ledger, foreign=foreign, only_results=only_results)
        seconds = sum(ended - began for began, ended in self.spans)
        load = (
            f"{self.asked} requests ({self.unanswered} unanswered), {self.completed} infusions in {seconds:.0f} s; quiet after {took:.0f} s"
        )
        self.report.add(Outcome(self.name, injected, load, verdict, self.wanted))
        return verdict

    async def followed_up(self) -> None:
        """Wait until every visit that is completed by now has its plan, however many more are completed meanwhile."""
        visits = list(self.clinic.ledger.visits)
        async with self.installation.superuser("followup") as admin:
            sql = "SELECT count(*) FROM plan WHERE infusion_id = ANY($1::uuid[])"
            await eventually(lambda: admin.fetchval(sql, visits), lambda plans: plans == len(visits), within=120, every=0.2)

    async def ends_whole(self, injected: str, *, within: float = 240.0, foreign: Collection[UUID] = (), least: int = 10) -> Verdict:
        """The verdict, asserted: the clinic completed at ``least`` so much under the fault; nothing is lost, doubled or out of order."""
        verdict = await self.verdict(injected, within=within, foreign=foreign)
        assert self.completed >= least, f"no load during the fault: {self.completed} infusions"
        assert verdict.whole, str(verdict)
        return verdict


@asynccontextmanager
async def scenario(
    name: str, installation: Installation, report: Report, *, wanted: str = "whole", hands: int = 5
) -> AsyncIterator[Scenario]:
    """Open a clinic on running services and let it work while the block runs."""
    clinic = await installation.clinic(seed=SEED)
    running = Scenario(name, installation, report, clinic, wanted)
    try:
        async with clinic.at_work(hands=hands):
            yield running
    finally:
        await clinic.system.close()


async def seconds(count: float) -> None:
    """Let a fault last."""
    await asyncio.sleep(count)
