"""What may be ordered in a day. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What may be ordered in a day (UTC). None: no limit."""

    hectares: float | None = None
    money: float | None = None
    price_per_hectare: float = 0.0
    """In the currency of `money`."""

    def refusal(self, ordered: float, wanted: float) -> str | None:
        """Why `wanted` hectares more are too many after `ordered` ones; None: they are not."""
        total = ordered + wanted
        if self.hectares is not None and total > self.hectares:
            return f"{total:,.1f} ha would be ordered today, and the limit is {self.hectares:,.1f} ha"
        cost = total * self.price_per_hectare
        if self.money is not None and cost > self.money:
            return f"today's orders would cost {cost:,.2f}, and the limit is {self.money:,.2f}"
        return None
