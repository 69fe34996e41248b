from collections.abc import Iterable
from datetime import datetime

from shared.events.intake import Span


def stood_at(spans: Iterable[Span], at: datetime) -> bool:
    """Whether something was so at that moment; a span's first moment is inside, its last is not."""
    return any(span.since <= at and (span.until is None or at < span.until) for span in spans)
