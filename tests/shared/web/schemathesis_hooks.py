"""What no description can say, so that schemathesis sends requests that could be right: fresh keys, and no invented cursors."""

import os
import re
from typing import Any
from uuid import uuid4

import schemathesis

from tests.support.written import in_one_way

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CURSOR = re.compile("[A-Za-z0-9_-]{1,1024}")
_KEY = re.compile('("[!#-~]{1,255}"|[!#-~]{1,255})')


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:  # Any: schemathesis passes its own objects
    """A key that was used for another request is rightly refused, and so are a practitioner and a cursor that were made up."""
    headers = case.headers or {}
    for name, variable in (("Afterglow-Practitioner", "TEST_PRACTITIONER"), ("Afterglow-Clinic", "TEST_CLINIC")):
        if _UUID.fullmatch(str(headers.get(name))):
            headers[name] = os.environ[variable]
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and _KEY.fullmatch(key):
        headers["Idempotency-Key"] = str(uuid4())
    cursor = (case.query or {}).get("cursor")
    if isinstance(cursor, str) and _CURSOR.fullmatch(cursor):
        del case.query["cursor"]
    if case.meta is not None and case.meta.generation.mode.is_positive:
        case.body = in_one_way(case.body)
