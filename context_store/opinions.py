"""What others would have decided: the shadow rules and the classifier, beside the decision that holds."""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from context_store import tables as t

_o = t.opinions.c


class Offer(Struct, frozen=True):
    """A value that the classifier suggests; it never sets it."""

    label: str
    confidence: float
    because: tuple[str, ...] = ()


class Opinion(Struct, frozen=True, kw_only=True):
    """Beside one decision. `body` is what its source wrote."""

    decision_id: int
    source: str
    model: str
    body: dict[str, Any]
    differs: bool

    @property
    def offers(self) -> dict[str, Offer]:
        """Field → what the classifier suggests; nothing from another source."""
        return msgspec.convert(self.body, dict[str, Offer]) if self.source == "classifier" else {}


def opinions_of(conn: Connection, decisions: Collection[int]) -> tuple[Opinion, ...]:
    """Of these decisions, the newest first."""
    rows = conn.execute(select(t.opinions).where(_o.decision_id.in_(decisions)).order_by(_o.decision_id.desc()))
    return tuple(
        Opinion(
            decision_id=row.decision_id, source=row.source, model=row.model,
            body=msgspec.json.decode(row.body, type=dict[str, Any]), differs=bool(row.differs),
        )
        for row in rows
    )  # fmt: skip


def newest_model(conn: Connection, source: str) -> str | None:
    """What judged last in that role."""
    return conn.scalar(select(_o.model).where(_o.source == source).order_by(_o.decision_id.desc()).limit(1))
