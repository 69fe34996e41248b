"""What a patient's browser shows: a link in the address, a session of a form that was opened, or the mark that a sent form carries.

Whoever holds one acts as the patient, and the trail says no more than that.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.pages import commands
from services.followup.pages.commands import Opened
from services.followup.pages.means import PageMeans
from services.followup.pages.rendering import MARK
from services.followup.pages.seals import Mark
from shared.errors import DomainError
from shared.security.caller import Caller, Kind
from shared.web import Admitted, Asked, Ground
from shared.web.addresses import client_address
from shared.web.forms import Fields

SCOPE = "patient/QuestionnaireResponse"
_AGENT = "patient-link"
_RIGHTS = frozenset({f"{SCOPE}.cr"})
_TOO_MANY = "There were too many wrong dates of birth from where you are. Please wait a few minutes and try again, or call the clinic."


class Entered(NamedTuple):
    """What a credential opened; ``mark`` where that was a session or a form of one."""

    opened: Opened
    mark: Mark | None = None


@dataclass(frozen=True)
class _OfAPatient:
    """What the three have in common."""

    means: PageMeans
    kinds = frozenset[Kind]({"patient"})

    def ground(self, request: Request) -> Ground:
        """The pages' own."""
        return Ground(database=self.means.database, clock=self.means.clock, public_url=self.means.public_url)

    async def caller(self, request: Request) -> None:
        """Only the database knows what is still open."""

    async def _marked(self, db: AsyncSession, mark: Mark | None, *, lock: bool) -> Admitted:
        if mark is None:
            raise over()
        opened = await commands.open_check_in(db, mark.whose.clinic_id, self.means.token(mark.whose), lock=lock)
        return replace(admitted(opened), opens=Entered(found(opened), mark))


class LinkInAddress(_OfAPatient):
    """A link that can still be used. Whoever typed too many wrong birth dates has to wait, whatever the link is."""

    async def caller(self, request: Request) -> None:
        """Raises 429 for a form from an address that has to wait."""
        wait = self.means.tries.wait(*where_from(request)) if request.method == "POST" else 0
        if wait:
            raise DomainError("too-many-tries", _TOO_MANY, status=429, headers={"Retry-After": str(ceil(wait))})

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        """For any other link there is one answer, after the same work."""
        token = request.path_params["token"]
        return admitted(await commands.open_token(db, token, self.means.clock.now(), self.means.setup.policy))


class SessionInAddress(_OfAPatient):
    """A session that this browser has, whether it still runs or not, by its handle in the address."""

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        """The check-in of the session."""
        session = self.means.cookies.session(request, request.path_params["handle"])
        return await self._marked(db, session.mark if session else None, lock=False)


class MarkInForm(_OfAPatient):
    """The mark by which a sent form says whose it is, whatever has become of it meanwhile. What it opens is locked."""

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        """The check-in of the form."""
        given = asked.document.get(MARK, "") if isinstance(asked.document, Fields) else ""
        return await self._marked(db, self.means.seals.mark_of(given), lock=True)


def admitted(opened: Opened | None) -> Admitted:
    """The patient, with the rights of a link. Raises ``over`` where nothing was opened."""
    found_one = found(opened)
    clinic_id, check_in = found_one.link.clinic_id, found_one.check_in
    return Admitted(
        caller=Caller(_AGENT, "patient", clinic_id, _RIGHTS),
        clinic_id=clinic_id,
        patient_id=check_in.patient_id,
        subject=f"CheckIn/{check_in.check_in_id}",
        opens=Entered(found_one),
    )


def found(opened: Opened | None) -> Opened:
    """What was opened. Raises ``over`` where nothing was."""
    if opened is None:
        raise over()
    return opened


def over() -> DomainError:
    """The one refusal of whatever opens nothing; it is shown as the page of a dead link."""
    return DomainError("link-over", "The link is not valid any more.", status=410)


def where_from(request: Request) -> list[str]:
    """The address that tries are counted by, where it can be told from others'."""
    address = client_address(request)
    return [address] if address else []
