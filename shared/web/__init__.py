"""The HTTP edge that all services share: what an endpoint is written with."""

from shared.security.access import access, operator_access, public_access, service_access
from shared.web.application import application
from shared.web.call import Call, CallContext, PublicCall, PublicContext
from shared.web.forms import read_form
from shared.web.operation import Operation, Router
from shared.web.paging import Page, PageParams, Slice, page_by, page_of, page_params
from shared.web.schemas import Answer, Body, Listing, Moment, Text

__all__ = [
    "Answer",
    "Body",
    "Call",
    "CallContext",
    "Listing",
    "Moment",
    "Operation",
    "Page",
    "PageParams",
    "PublicCall",
    "PublicContext",
    "Router",
    "Slice",
    "Text",
    "access",
    "application",
    "operator_access",
    "page_by",
    "page_of",
    "page_params",
    "public_access",
    "read_form",
    "service_access",
]
