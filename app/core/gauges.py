"""Gauges over tables: computed by upkeep, kept in a row each, only read at a scrape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Double, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Session
from app.core.uow import now_of


class GaugeRow(Base):
    """The last value of one gauge under one set of labels (`state="queued"`)."""

    __tablename__ = "gauges"

    name: Mapped[str] = mapped_column(primary_key=True)
    labels: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(Double)
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a gauge; `labels` is in the exposition format, without braces."""

    name: str
    labels: str
    value: float


def label_value(text: str) -> str:
    """A name from outside, escaped as the exposition format asks."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def replace(session: Session, names: Iterable[str], samples: Iterable[Sample]) -> None:
    """Put these samples in the place of all that stood under those names."""
    await session.execute(delete(GaugeRow).where(GaugeRow.name.in_(list(names))))
    rows = [
        {"name": s.name, "labels": s.labels, "value": s.value, "at": now_of(session)}
        for s in samples
    ]
    if rows:
        await session.execute(insert(GaugeRow.__table__), rows)  # type: ignore[arg-type]


async def read(session: Session) -> list[Sample]:
    """All gauges, in the order in which the exposition format wants them: by name."""
    rows = await session.scalars(select(GaugeRow).order_by(GaugeRow.name, GaugeRow.labels))
    return [Sample(row.name, row.labels, row.value) for row in rows]


def exposition(samples: Iterable[Sample]) -> str:
    """The samples in Prometheus' text format; they come ordered by name."""
    lines: list[str] = []
    named: str | None = None
    for sample in samples:
        if sample.name != named:
            lines.append(f"# TYPE {sample.name} gauge")
            named = sample.name
        labels = f"{{{sample.labels}}}" if sample.labels else ""
        lines.append(f"{sample.name}{labels} {sample.value:g}")
    return "".join(f"{line}\n" for line in lines)
