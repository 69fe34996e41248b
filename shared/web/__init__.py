"""The HTTP edge that all services share: what an endpoint is written with."""

from shared.security.access import access, operator_access, patient_access, public_access, service_access, staff_access
from shared.web.answers import AfterCommit, AnswerCodec, Refusal
from shared.web.application import application
from shared.web.asked import Asked
from shared.web.bodies import FHIR_JSON, FormBody
from shared.web.call import Call, CallContext, Form, Ground, PublicCall, PublicContext
from shared.web.credentials import Admitted, Credential
from shared.web.forms import read_form
from shared.web.operation import Operation, Router
from shared.web.paging import Page, PageParams, Slice, page_by, page_of, page_params
from shared.web.schemas import Answer, Body, Listing, Moment, Text

__all__ = [
    "FHIR_JSON",
    "Admitted",
    "AfterCommit",
    "Answer",
    "AnswerCodec",
    "Asked",
    "Body",
    "Call",
    "CallContext",
    "Credential",
    "Form",
    "FormBody",
    "Ground",
    "Listing",
    "Moment",
    "Operation",
    "Page",
    "PageParams",
    "PublicCall",
    "PublicContext",
    "Refusal",
    "Router",
    "Slice",
    "Text",
    "access",
    "application",
    "operator_access",
    "page_by",
    "page_of",
    "page_params",
    "patient_access",
    "public_access",
    "read_form",
    "service_access",
    "staff_access",
]
