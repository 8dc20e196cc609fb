"""Paths and addresses: where a request was meant for, and how callers reach us from outside."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send


def path_of(scope: Scope) -> str:
    """The request's path below the address callers use; empty for what is no HTTP request."""
    path: str = scope.get("path", "")
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


def is_under(path: str, prefix: str) -> bool:
    """Whether the path is the prefix, or lies below it."""
    return path == prefix or path.startswith(prefix + "/")


def base_url(request: Request) -> str:
    """The address callers use, without a slash at its end."""
    return str(request.base_url).rstrip("/")


@dataclass(frozen=True)
class PublicAddress:
    """ASGI middleware: when a proxy stands in front, every link we write leads through it."""

    app: ASGIApp
    public_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the request look as it did before the proxy took it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        public = urlsplit(self.public_url)
        root, path = public.path.rstrip("/"), scope["path"]
        headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
        changed = {
            "scheme": public.scheme,
            "headers": [(b"host", public.netloc.encode()), *headers],
            "root_path": root,
            # ASGI's path holds the root path too; most proxies take it off.
            "path": path if not root or path.startswith(root + "/") else root + path,
        }
        await self.app({**scope, **changed}, receive, send)


class Door(Mount):
    """A mount that answers at its bare path too, without a redirect."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["path"] != scope.get("root_path", "") + self.path:
            return super().matches(scope)
        whole = {**scope, "path": scope["path"] + "/"}
        match, child = super().matches(whole)
        return match, {**child, "path": whole["path"]}
