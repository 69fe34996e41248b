"""What a patient is shown of the clinic, in messages and on pages."""

from typing import Protocol


class ClinicShown(Protocol):
    """How the clinic is called to a patient, and the numbers to call: part of whatever intake says for a message or a page."""

    @property
    def sender_name(self) -> str: ...
    @property
    def clinic_phone(self) -> str: ...
    @property
    def crisis_line(self) -> str: ...
