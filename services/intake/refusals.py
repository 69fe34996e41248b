"""Refusals of a body's content that only a use case can find."""

from shared.errors import FieldError, Invalid


def refused(*errors: FieldError) -> Invalid:
    """A 422 for one or several members; a single one gives its code to the whole."""
    code = errors[0].code if len(errors) == 1 else "invalid"
    return Invalid(code, "The request can be read and is not acceptable.", errors=errors)


def unknown_reference(pointer: str) -> Invalid:
    """The id names nothing in this clinic; another clinic's id gets the same answer as a random one."""
    return refused(FieldError(pointer, "reference-not-found", "Names nothing that exists here."))
