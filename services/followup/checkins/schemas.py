"""What clinic systems get to see of check-ins."""

from typing import Self
from uuid import UUID

from services.followup.checkins.forms import Answer as ItemAnswer
from services.followup.checkins.forms import Form, Forms
from services.followup.checkins.models import CheckIn, CheckInStatus, CheckInWorry
from services.followup.checkins.queries import CheckInRecord
from services.followup.checkins.rules import Level
from shared.web import Answer, Moment


class CheckInOut(Answer):
    """A check-in: where it stands, and how worrying its answers are; never what they are."""

    check_in_id: UUID
    patient_id: UUID
    patient_number: str
    patient_time_zone: str
    plan_id: UUID | None
    infusion_id: UUID | None
    course_id: UUID
    code: str
    ordinal: int
    status: CheckInStatus
    version: int
    opens_at: Moment
    due_at: Moment
    expires_at: Moment
    opened_at: Moment | None
    submitted_at: Moment | None
    late: bool
    due_kept: bool
    level: Level | None
    ended_reason: str | None


class AnsweredItem(Answer):
    """One question with its answer: a number, yes, no or declined; null where it was left out."""

    item: str
    label: str
    answer: ItemAnswer | None


class AnswersOut(Answer):
    """The answers of a check-in, with the form that they answer."""

    form_code: str
    form_version: int
    language: str
    received_at: Moment
    items: list[AnsweredItem]


class WorryOut(Answer):
    """Why an answer worries: the rule and its version, the item, and where the rule comes from."""

    rule_id: str
    rule_version: int
    item: str
    level: Level
    why: str
    source: str
    raised_at: Moment


class CheckInDetail(CheckInOut):
    """A check-in with its answers; ``answers`` and ``worries`` are null for a reader without a clinical role."""

    answers_visible: bool
    answers: AnswersOut | None
    worries: list[WorryOut] | None

    @classmethod
    def of_record(cls, record: CheckInRecord, forms: Forms) -> Self:
        """The record as its reader may see it."""
        shown = CheckInOut.model_validate(record.check_in).model_dump()
        if not record.may_see_answers:
            return cls(**shown, answers_visible=False, answers=None, worries=None)
        answers = _answers(record, forms) if record.answers else None
        return cls(**shown, answers_visible=True, answers=answers, worries=[_worry(worry) for worry in record.worries])


def _answers(record: CheckInRecord, forms: Forms) -> AnswersOut:
    stored = record.answers
    assert stored is not None
    form: Form = forms.sent_with(stored.form_code, stored.form_version)
    items = [AnsweredItem(item=name, label=item.label, answer=stored.answers.get(name)) for name, item in form.items.items()]
    return AnswersOut(
        form_code=stored.form_code, form_version=stored.form_version, language=stored.language, received_at=stored.received_at, items=items
    )


def _worry(worry: CheckInWorry) -> WorryOut:
    return WorryOut.model_validate(worry)


def shown(check_in: CheckIn) -> CheckInOut:
    """A check-in as it stands in a list."""
    return CheckInOut.model_validate(check_in)
