"""How many subscriptions an owner has under way: counted as they come and go, so that asking costs nothing."""

from __future__ import annotations

import sqlite3

from imagery.errors import LimitReached
from imagery.model.subscription import Subscription, SubscriptionStatus

LIMIT = "max_subscriptions_per_owner"

_LIVE = "('active', 'paused')"

MIGRATIONS = (
    (
        "CREATE TABLE subscription_count (owner TEXT PRIMARY KEY, live INTEGER NOT NULL) WITHOUT ROWID",
        f"""INSERT INTO subscription_count (owner, live)
            SELECT owner, count(*) FROM subscription WHERE status IN {_LIVE} GROUP BY owner""",
        f"""CREATE TRIGGER subscription_came AFTER INSERT ON subscription WHEN new.status IN {_LIVE} BEGIN
            INSERT INTO subscription_count (owner, live) VALUES (new.owner, 1)
            ON CONFLICT (owner) DO UPDATE SET live = live + 1; END""",
        f"""CREATE TRIGGER subscription_went AFTER DELETE ON subscription WHEN old.status IN {_LIVE} BEGIN
            UPDATE subscription_count SET live = live - 1 WHERE owner = old.owner; END""",
        f"""CREATE TRIGGER subscription_ended AFTER UPDATE OF status ON subscription
            WHEN old.status IN {_LIVE} AND new.status NOT IN {_LIVE} BEGIN
            UPDATE subscription_count SET live = live - 1 WHERE owner = old.owner; END""",
        f"""CREATE TRIGGER subscription_revived AFTER UPDATE OF status ON subscription
            WHEN old.status NOT IN {_LIVE} AND new.status IN {_LIVE} BEGIN
            INSERT INTO subscription_count (owner, live) VALUES (new.owner, 1)
            ON CONFLICT (owner) DO UPDATE SET live = live + 1; END""",
    ),
)


def is_live(status: SubscriptionStatus) -> bool:
    """Whether it counts against its owner's limit."""
    return status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED)


def refuse_one_more(connection: sqlite3.Connection, subscription: Subscription, most: int | None) -> None:
    """Raises LimitReached if this one would be its owner's (`most` + 1)th. Call it in the transaction that saves it."""
    if most is None or not is_live(subscription.status):
        return
    row = connection.execute("SELECT live FROM subscription_count WHERE owner = ?", (subscription.owner,)).fetchone()
    if row is not None and row["live"] >= most:
        raise LimitReached(
            f"{subscription.owner} has {row['live']} active and paused subscriptions, {LIMIT} is {most}; "
            "delete some that are not needed any more, or ask the operator to raise it",
            limit=LIMIT,
        )
