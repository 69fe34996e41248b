"""Refusals of a body's content that only a use case can find."""

from shared.errors import FieldError, Invalid


def refused(*errors: FieldError) -> Invalid:
    """A 422 for one or several members; a single one gives its code to the whole."""
    code = errors[0].code if len(errors) == 1 else "invalid"
    return Invalid(code, "The request can be read and is not acceptable.", errors=errors)


def refuse_nameless(given_name: str | None, family_name: str | None) -> None:
    """Raises 422 where nobody could be called by anything."""
    if given_name is None and family_name is None:
        raise refused(FieldError("/family_name", "required", "A given name, a family name or both."))


def unknown_reference(pointer: str) -> Invalid:
    """The id names nothing in this clinic; another clinic's id gets the same answer as a random one."""
    return refused(FieldError(pointer, "reference-not-found", "Names nothing that exists here."))
