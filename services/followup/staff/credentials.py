"""What a browser of staff shows: a one-time link in the address, and then the cookie of the session that it opened."""

from dataclasses import dataclass

from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession

from services.followup.staff import sessions
from shared.errors import DomainError
from shared.security.caller import Caller, Kind
from shared.security.staff_links import StaffLink, StaffLinks
from shared.web import Admitted, Asked, Ground
from shared.web.call import surroundings_of
from shared.web.frame import open_frame

_AGENT = "staff-session"
_STAFF = frozenset[Kind]({"staff"})


@dataclass(frozen=True)
class OneTimeLink:
    """A link that has not been used. It opens a session and nothing else."""

    links: StaffLinks
    kinds = _STAFF

    def ground(self, request: Request) -> Ground:
        """The service's own."""
        return surroundings_of(request.app)

    async def caller(self, request: Request) -> None:
        """Whether a link was used only the database knows."""

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        """As the person whom the link names."""
        link = request.path_params["link"]
        whose = self.links.opened(link)
        if whose is None or await sessions.was_used(db, link):
            raise link_over()
        return await _admitted(db, request, whose, "user/Session.cr", opens=whose)


@dataclass(frozen=True)
class StaffSession:
    """A session that runs, by its cookie: ``__Host-`` and Secure wherever the pages are served by https."""

    secure: bool
    kinds = _STAFF

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return "__Host-staff" if self.secure else "staff"

    def ground(self, request: Request) -> Ground:
        """The service's own."""
        return surroundings_of(request.app)

    async def caller(self, request: Request) -> None:
        """Whose a session is only the database knows."""

    async def admit(self, db: AsyncSession, request: Request, asked: Asked) -> Admitted:
        """As the person whose session it is, with the roles that they hold at this moment."""
        token = request.cookies.get(self.cookie)
        whose = await sessions.find(db, token) if token else None
        if whose is None:
            raise DomainError("sign-in-required", "Sign in.", status=401)
        return await _admitted(db, request, whose, "user/Task.r")


def link_over() -> DomainError:
    """The refusal of a link that opens nothing, whatever the cause."""
    return DomainError("link-over", "The link is not valid any more.", status=410)


async def _admitted(db: AsyncSession, request: Request, whose: StaffLink, scope: str, *, opens: object = None) -> Admitted:
    answers = surroundings_of(request.app).answers
    opened = await open_frame(db, whose.clinic_id, _AGENT, whose.practitioner_id, None, answers)
    return Admitted(
        caller=Caller(_AGENT, "staff", whose.clinic_id, frozenset({scope}), whose.practitioner_id),
        clinic_id=whose.clinic_id,
        practitioner_id=whose.practitioner_id,
        standing=opened.standing,
        opens=opens,
    )
