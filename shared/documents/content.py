"""What every clinical document is made of; its slice adds the content."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Source = Annotated[str, Field(min_length=10, max_length=400)]
"""Where a number comes from: a label, a study, or the product's own choice and why."""


class Part(BaseModel):
    """A part of a document: frozen, and without members that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Document(Part):
    """One version of a document. Its number is kept with everything that was judged by it."""

    code: str
    version: Annotated[int, Field(ge=1)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    notes: Annotated[str, Field(max_length=2000)] = ""


def misplaced(place: tuple[str | int, ...], mistake: PydanticCustomError) -> ValidationError:
    """A mistake that only the whole shows, said of the part where it is: for the line that whoever wrote it looks for."""
    return ValidationError.from_exception_data("document", [InitErrorDetails(type=mistake, loc=place, input=None)])
