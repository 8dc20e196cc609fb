"""Links of what we publish: where it came from and under which licence. The API adds those of its own tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import pystac

_KEPT = ("license", "cite-as")


def source_link(source: pystac.Item | pystac.Collection, *, media_type: str) -> pystac.Link | None:
    """`derived_from` what we cut: its address at the provider's API, else its canonical file. None: it has neither."""
    addresses = [
        *_hrefs(source.links, "self"),
        *_hrefs(source.links, "canonical"),
        *(
            f"{href.rstrip('/')}/items/{source.id}"
            for href in _hrefs(source.links, "collection")
            if isinstance(source, pystac.Item)
        ),
    ]
    if not addresses:
        return None
    # An address everybody can open comes first.
    href = min(addresses, key=lambda address: not address.startswith(("http://", "https://")))
    return pystac.Link("derived_from", href, media_type=media_type, title=f"Source: {source.id}")


def source_links(sources: Sequence[pystac.Item]) -> list[pystac.Link]:
    """`derived_from` each of them that has an address, in their order."""
    links = [source_link(source, media_type="application/geo+json") for source in sources]
    return [link for link in links if link is not None]


def kept_links(*sources: pystac.Item | pystac.Collection) -> list[pystac.Link]:
    """Licence and citation of the sources, once each."""
    seen: dict[tuple[str, str], pystac.Link] = {}
    for link in (link for source in sources for link in source.links):
        href = _href(link)
        if link.rel in _KEPT and href is not None:
            kept = pystac.Link(str(link.rel), href, media_type=link.media_type, title=link.title)
            seen.setdefault((str(link.rel), href), kept)
    return list(seen.values())


def _hrefs(links: Iterable[pystac.Link], rel: str) -> list[str]:
    return [href for link in links if link.rel == rel and (href := _href(link)) is not None]


def _href(link: pystac.Link) -> str | None:
    """Absolute addresses only: others mean nothing away from the source, and a path tells of somebody's disk."""
    href = link.target if isinstance(link.target, str) else link.get_absolute_href()
    if not href or len(urlsplit(href).scheme) < 2 or href.startswith("file:"):
        return None
    return href
