"""The next page of a STAC search, as its links say. Pure: no socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from imagery.errors import ProviderAnswerInvalid
from imagery.providers.exchange import Answer, Ask


def next_ask(answer: Answer) -> Ask | None:
    """What to send for the page after this one; None when it was the last.

    A page is the last when it has no `next` link, however many items it holds: Earth Search links on from a full
    result to an empty page. Raises ProviderAnswerInvalid for a link that cannot be followed or leads elsewhere.
    """
    links = answer.body.get("links") or []
    if not isinstance(links, list):
        raise ProviderAnswerInvalid(f"the links of {answer.ask.shown} are no list")
    link = next((one for one in links if isinstance(one, Mapping) and one.get("rel") == "next"), None)
    if link is None:
        return None
    href = link.get("href")
    if not isinstance(href, str):
        raise ProviderAnswerInvalid(f"the next link of {answer.ask.shown} has no href")
    try:
        url = _same_origin(answer.ask.url, urljoin(answer.ask.url, href))
    except ValueError as error:
        raise ProviderAnswerInvalid(f"the next link of {answer.ask.shown} is no URL: {error}") from error
    method = str(link.get("method", "GET")).upper()
    if method == "GET":
        return Ask(url=url, pageable=True)
    if method == "POST":
        return Ask(url=url, method="POST", body=_next_body(answer, link), pageable=True)
    raise ProviderAnswerInvalid(f"the next link of {answer.ask.shown} wants {method}; only GET and POST page a search")


def _next_body(answer: Answer, link: Mapping[str, Any]) -> dict[str, Any]:
    """The link's body as given; laid over the last request's only when it says `merge`."""
    body = link.get("body")
    if not isinstance(body, Mapping):
        raise ProviderAnswerInvalid(f"the next link of {answer.ask.shown} is a POST without a body")
    return {**(answer.ask.body or {}), **body} if link.get("merge") is True else dict(body)


def _same_origin(asked: str, following: str) -> str:
    """`following`, if it is where we asked. Raises ProviderAnswerInvalid when it would lead us to another server."""
    here, there = urlsplit(asked), urlsplit(following)
    if _origin(here) == _origin(there):
        return following
    if (here.scheme, there.scheme) == ("https", "http") and here.netloc == there.netloc:
        # A server behind a TLS proxy often writes http:// into its links.
        return urlunsplit(there._replace(scheme="https"))
    raise ProviderAnswerInvalid(
        f"the next link of {asked.partition('?')[0]} leads to another server, {there.scheme}://{there.hostname}"
    )


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)
