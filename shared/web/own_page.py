"""Forms that a browser sends with a credential of ours: only from a page of ours."""

from fastapi import Request

from shared.errors import Forbidden


def require_own_page(request: Request, public_url: str) -> None:
    """Refuse a form that another site's page sent. Raises Forbidden.

    A browser that sends Sec-Fetch-Site is believed; of an older one the Origin must be ours. Who sends neither is no browser, and has no
    cookie that another page could abuse.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = site in ("same-origin", "none") if site is not None else origin in (None, public_url)
    if not own:
        raise Forbidden("foreign-page", "This form was not sent from our page. Please open your link again and send the form from there.")
