"""The frame of every scenario: a clinic at work, a fault in it, quiet afterwards, and the verdict of final state."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from tests.faults.checker import Verdict, judge, quiet, under_way
from tests.faults.clinic import Clinic
from tests.faults.installation import Installation
from tests.faults.limits import ends_within
from tests.faults.report import Outcome, Report
from tests.support.waiting import eventually

SEED = 20261125
SCENARIO_SECONDS = 420.0
"""How long a clinic may be at work in one scenario. Start and verdict have limits of their own; pytest's is for all of it."""


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
    async def fault(self, **least: int) -> AsyncIterator[None]:
        """What happens in this block happens under the fault: it begins when something is broken and ends when nothing is any more.

        ``least`` says what the clinic must have had in this very block, by the names of ``load``.
        """
        assert least, "a fault without work shows nothing"
        began = time.monotonic()
        try:
            yield
        finally:
            self.spans.append((began, time.monotonic()))
        had = self.load(self.spans[-1:])
        short = {name: had[name] for name, count in least.items() if had[name] < count}
        assert not short, f"no load during the fault: {short}, and it was to be at least {least}; all of it: {had}"

    def load(self, spans: Collection[tuple[float, float]]) -> dict[str, int]:
        """What the clinic had in these spans of time.

        Requests that it ``asked`` (reads among them); that were ``answered``, their effect acknowledged; that were ``refused`` for now
        (503); that stayed ``unanswered``, their connection broken or silent. And visits that were ``completed``.
        """
        system = self.clinic.system
        moments = {
            "asked": system.asked,
            "answered": system.answered,
            "refused": system.refused,
            "unanswered": system.unanswered,
            "completed": self.clinic.completed_at,
        }
        return {name: sum(began <= at <= ended for at in own for began, ended in spans) for name, own in moments.items()}

    async def verdict(self, injected: str, *, within: float = 240.0, foreign: Collection[UUID] = (), only_results: bool = False) -> Verdict:
        """Wait for quiet, judge, and leave a line in the report."""
        took = await quiet(self.installation, within=within)
        return await self.judged(injected, took, foreign=foreign, only_results=only_results)

    async def judged(self, injected: str, took: float, *, foreign: Collection[UUID] = (), only_results: bool = False) -> Verdict:
        """The verdict on how things are now, ``took`` seconds after the fault."""
        verdict = await judge(self.installation, self.clinic.ledger, foreign=foreign, only_results=only_results)
        seconds = sum(ended - began for began, ended in self.spans)
        had = self.load(self.spans)
        load = (
            f"{had['asked']} requests ({had['refused']} refused, {had['unanswered']} unanswered), {had['answered']} acknowledged, "
            f"{had['completed']} infusions in {seconds:.0f} s; quiet after {took:.0f} s"
        )
        self.report.add(Outcome(self.name, injected, load, verdict, self.wanted))
        return verdict

    async def followed_up(self) -> None:
        """Wait until every visit that is completed by now has its plan, however many more are completed meanwhile."""
        visits = list(self.clinic.ledger.visits)
        async with self.installation.superuser("followup") as admin:
            sql = "SELECT count(*) FROM plan WHERE infusion_id = ANY($1::uuid[])"
            try:
                await eventually(lambda: admin.fetchval(sql, visits), lambda plans: plans == len(visits), within=120, every=0.2)
            except AssertionError as late:
                left = await under_way(self.installation)
                blocked = [dict(row) for row in await admin.fetch(_BLOCKED)]
                raise AssertionError(f"of {len(visits)} visits: {late}; under way: {left}; parked and open: {blocked}") from None

    async def ends_whole(self, injected: str, *, within: float = 240.0, foreign: Collection[UUID] = ()) -> Verdict:
        """The verdict, asserted: something was broken; nothing is lost, doubled or out of order."""
        verdict = await self.verdict(injected, within=within, foreign=foreign)
        assert self.spans, "nothing was broken"
        assert verdict.whole, str(verdict)
        return verdict


_BLOCKED = """
    SELECT 'parked' AS what, reason AS how, error_class AS why, count(*) FROM platform.parked GROUP BY reason, error_class
    UNION ALL
    SELECT 'transaction', state, left(query, 80), count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid() GROUP BY state, query
"""


@asynccontextmanager
async def scenario(
    name: str, installation: Installation, report: Report, *, wanted: str = "whole", hands: int = 5
) -> AsyncIterator[Scenario]:
    """Open a clinic on running services and let it work while the block runs."""
    clinic = await installation.clinic(seed=SEED)
    running = Scenario(name, installation, report, clinic, wanted)
    try:
        async with ends_within(SCENARIO_SECONDS, name), clinic.at_work(hands=hands):
            yield running
    finally:
        await clinic.system.close()


async def seconds(count: float) -> None:
    """Let a fault last."""
    await asyncio.sleep(count)
