"""Where this service may send: which URLs, and which addresses their names may lead to. Sends nothing itself."""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from imagery.errors import AddressRefused

logger = logging.getLogger(__name__)

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to all of its addresses, as text; OSError when it has none."""

MAX_URL_CHARS = 2048
RESOLVE_TIMEOUT_S = 5.0
FIRST_FREE_PORT = 1024
FIELD = "/webhook/url"

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_URL = re.compile(r"[\x21-\x7e]+")


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


# Written out, not asked of `is_global`: before Python 3.11.9 that one lets some of these pass.
_NEVER = _networks(
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    # Metadata and machine services of clouds: of Azure, of Alibaba, of AWS over IPv6.
    *("168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::/32"),
    *("fe80::/10", "fec0::/10", "ff00::/8"),
    # Inside 2000::/3, yet not of the open network: 2001::/23 (Teredo, ORCHID), documentation, 6to4.
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
_PRIVATE = _networks(
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"
)
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A URL taken apart, and the addresses its name led to: connect there and nowhere else."""

    is_https: bool
    host: str
    """As in the URL: for TLS and the Host header. An IPv6 address is in brackets."""

    port: int
    path: str
    """With the query."""

    addresses: tuple[str, ...]
    """At least one, the system's choice first; all of them were checked."""

    @property
    def authority(self) -> str:
        """The Host header."""
        return self.host if self.port == (443 if self.is_https else 80) else f"{self.host}:{self.port}"

    def pinned_url(self, address: str) -> str:
        """The same place, named by one of its addresses."""
        shown = f"[{address}]" if ":" in address else address
        return f"{'https' if self.is_https else 'http'}://{shown}:{self.port}{self.path}"


@dataclass(frozen=True, kw_only=True)
class AddressPolicy:
    """What an installation allows."""

    allow_http: bool = False
    allow_private: bool = False
    """Loopback, private networks and shared (carrier) ones too; never link-local, metadata, multicast, reserved."""

    resolve: Resolve | None = None
    """None: the system's resolver."""

    def target(self, url: str) -> Target:
        """Where exactly a request to `url` goes, looked up now. Raises AddressRefused.

        When one of a name's addresses is not allowed none is used: such a name is a trap or a mistake.
        """
        parts = self._parsed(url)
        host, is_https = parts.hostname or "", parts.scheme == "https"
        port = self._port(parts)
        addresses = [_parse_address(host)] if _is_address(host) else self._looked_up(host, port)
        for address in addresses:
            if not self.allows(address):
                # Where a name leads inside this network is not for those who may name any: it is in the log.
                logger.info("webhook address refused", extra={"host": host, "address": str(address)})
                raise _refused(f"{host} does not lead to an address of the public internet")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        shown = f"[{host}]" if ":" in host else host
        return Target(is_https=is_https, host=shown, port=port, path=path, addresses=tuple(map(str, addresses)))

    def allows(self, address: IpAddress) -> bool:
        """Whether it is global unicast, or private where that is allowed."""
        if any(address in network for network in _NEVER if network.version == address.version):
            return False
        if any(address in network for network in _PRIVATE if network.version == address.version):
            return self.allow_private
        # Of IPv6 only 2000::/3 is given out: not ::, IPv4-mapped and -compatible, NAT64, and what is to come.
        return address.version == 4 or address in _GLOBAL_V6

    def _parsed(self, url: str) -> SplitResult:
        if len(url) > MAX_URL_CHARS or not _URL.fullmatch(url) or "\\" in url:
            raise _refused(f"a webhook's URL has up to {MAX_URL_CHARS} printable ASCII characters; encode the others")
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError as error:
            raise _refused(f"this is no URL: {error}") from error
        schemes = ("https", "http") if self.allow_http else ("https",)
        if parts.scheme not in schemes or not url.lower().startswith(f"{parts.scheme}://"):
            raise _refused(f"a webhook's URL begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if "@" in parts.netloc:
            raise _refused("a webhook's URL names no user and no password; what is signed needs none")
        if "#" in url:
            raise _refused("a webhook's URL has no fragment (#…)")
        if not _is_address(host) and not _HOST.fullmatch(host):
            raise _refused("the host is no name of the DNS; write an international one in its xn-- form")
        return parts

    def _port(self, parts: SplitResult) -> int:
        try:
            port = parts.port
        except ValueError as error:
            raise _refused("the port is no number from 1 to 65535") from error
        if port is None:
            return 443 if parts.scheme == "https" else 80
        if port not in (80, 443) and port < FIRST_FREE_PORT:
            raise _refused(f"port {port} belongs to another service; take 443, 80, or one from {FIRST_FREE_PORT} on")
        return port

    def _looked_up(self, host: str, port: int) -> list[IpAddress]:
        try:
            found = (self.resolve or _system_addresses)(host, port)
        except (OSError, UnicodeError) as error:
            raise _refused(f"{host} is not known to the DNS just now ({error}); check its spelling") from error
        if not found:
            raise _refused(f"{host} has no address")
        return [_parse_address(text) for text in found]


def _system_addresses(host: str, port: int) -> list[str]:
    """As the system finds them; TimeoutError when it takes too long, for which getaddrinfo has no option."""
    found: list[str] = []
    failures: list[OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError) as error:
            failures.append(error)

    looking = threading.Thread(target=look_up, name="imagery-resolve", daemon=True)
    looking.start()
    looking.join(RESOLVE_TIMEOUT_S)
    if failures:
        raise failures[0]
    if looking.is_alive():
        raise TimeoutError(f"no answer within {RESOLVE_TIMEOUT_S:g} s")
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parse_address(text: str) -> IpAddress:
    # A scope (fe80::1%eth0) belongs to link-local addresses, which are refused with or without it.
    return ipaddress.ip_address(text.partition("%")[0])


def _refused(message: str) -> AddressRefused:
    return AddressRefused(message, field=FIELD)
