"""/v1/orders: what was ordered at providers that deliver later, and how it stands; for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from imagery.api.needs import House, Who
from imagery.api.order_views import OrderPage, OrderView
from imagery.api.paging import Cursor, Limit, link_next
from imagery.api.problems import documented
from imagery.errors import Forbidden
from imagery.model.order import OrderQuery, OrderStatus

router = APIRouter(prefix="/v1/orders", tags=["orders"])


@router.get("", responses=documented(403))
def find(
    *,
    request: Request,
    response: Response,
    imagery: House,
    caller: Who,
    status: Annotated[OrderStatus | None, Query(description="Only those.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> OrderPage:
    """Newest first."""
    if not caller.operator:
        raise Forbidden("orders are for operators; make a key with `imagery keys create --operator`")
    page = imagery.orders.find(OrderQuery(status=status, limit=limit, cursor=cursor))
    link_next(request, response, page.next_cursor)
    return OrderPage(orders=[OrderView.of(one) for one in page.values], next=page.next_cursor)
