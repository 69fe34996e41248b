"""Whether a text is a document of its kind: every mistake with its line, a code and the reason, and nothing of the text itself."""

from collections.abc import Collection, Iterator
from typing import Any

from pydantic import ValidationError

from shared.documents.content import Document
from shared.documents.kinds import D, Kind
from shared.documents.reading import Finding, Parsed, Unreadable, parse
from shared.errors import FieldError, Invalid
from shared.web.problems import field_errors

_MOST_FINDINGS = 30
_GIVEN = {
    "version": Finding(1, "version-given", "Leave the version out: the next number is given when the text is saved."),
    "code": Finding(1, "code-given", "Leave the code out: it is named beside the text."),
}


def checked(kind: Kind[D], text: str, version: int) -> D:
    """The document that the text is. Raises Invalid (422 document-invalid) with what is wrong, line by line."""
    try:
        parsed = parse(text)
        _refuse_given(kind, parsed, version)
    except Unreadable as unreadable:
        raise _invalid(unreadable.findings) from None
    try:
        return kind.model.model_validate({**parsed.data, "code": kind.code, "version": version})
    except ValidationError as error:
        raise _invalid(list(_findings(error, parsed, _names(kind.model)))) from None


def _refuse_given(kind: Kind[D], parsed: Parsed, version: int) -> None:
    """A number or code inside the text could be another one than it is saved under, and would be what a reader believes."""
    ours = {"version": version, "code": kind.code}
    wrong = [_GIVEN[name]._replace(line=parsed.line_of((name,))) for name in ours if parsed.data.get(name, ours[name]) != ours[name]]
    if wrong:
        raise Unreadable(*wrong)


def _findings(error: ValidationError, parsed: Parsed, names: Collection[str]) -> Iterator[Finding]:
    raised = error.errors(include_url=False, include_input=False)
    shown = field_errors([{**one, "loc": ("body", *one["loc"])} for one in raised], names)
    for one, said in zip(raised, shown, strict=True):
        where = f"{said['pointer']}: " if said["pointer"] else ""
        yield Finding(parsed.line_of(one["loc"]), said["code"], f"{where}{said['detail']}")


def _names(model: type[Document]) -> Collection[str]:
    """Every name that the form of the document knows, and so may be repeated."""
    schema: dict[str, Any] = model.model_json_schema()  # Any: JSON values
    objects = [schema, *schema.get("$defs", {}).values()]
    return {name for one in objects for name in one.get("properties", {})}


def _invalid(findings: Collection[Finding]) -> Invalid:
    """The lines in their order; where one mistake hides others, they come with the next try."""
    found = sorted(findings)[:_MOST_FINDINGS]
    errors = [FieldError("/content", one.code, f"Line {one.line}: {one.reason}") for one in found]
    return Invalid("document-invalid", "The text is not a document of this kind. The version in force stays.", errors=errors)
