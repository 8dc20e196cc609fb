"""Who may see and change what through the STAC API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request

from imagery.errors import Forbidden
from imagery.model.access import Caller


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """The landing page, conformance, API description and queryables are open; all else is asked for here."""

    caller_of: Callable[[Request], Caller | None]
    """The one behind a request; None: nobody we know."""

    public: bool = False
    """Whether nobody we know may read everything. A caller we know still sees what is theirs."""

    def scope(self, request: Request) -> str | None:
        """The owner whose things a reader sees; None: everybody's. Raises 401."""
        caller = self.caller_of(request)
        if caller is None and self.public:
            return None
        return self._known(caller).scope

    def writer(self, request: Request) -> Caller:
        """Raises 401."""
        return self._known(self.caller_of(request))

    def operator(self, request: Request) -> Caller:
        """Who may change what belongs to all. Raises 401, Forbidden."""
        caller = self.writer(request)
        if not caller.operator:
            raise Forbidden("collections are shared: only an operator's key may create, change or delete them")
        return caller

    @staticmethod
    def _known(caller: Caller | None) -> Caller:
        if caller is None:
            raise HTTPException(
                401,
                "this needs an API key: send the header `Authorization: Bearer <api key>`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return caller
