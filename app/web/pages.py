"""Pages of a list: a limit, a signed cursor, and the cursor of the next page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar
from uuid import UUID

from pydantic import Field

from app.core.cursors import CURSOR_LENGTH_MAX, CursorInvalid, Cursors

PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 100

Item = TypeVar("Item")
Limit = Annotated[
    int, Field(ge=1, le=PAGE_MAX, description="How many entries a page has at the most.")
]
Cursor = Annotated[
    str | None,
    Field(max_length=CURSOR_LENGTH_MAX * 2, description="`next_cursor` of the page before."),
]


@dataclass(frozen=True, slots=True)
class Page:
    """Where to read on, for one list of one owner under one set of filters."""

    cursors: Cursors
    scope: str
    limit: int
    cursor: str | None

    @property
    def read(self) -> int:
        """One more than is shown, to know whether there is a next page."""
        return self.limit + 1

    def after_int(self) -> int | None:
        """The position as a number; raises CursorInvalid for a cursor that is not ours."""
        if self.cursor is None:
            return None
        [position] = self.cursors.open(self.scope, self.cursor)
        if not isinstance(position, int):
            raise CursorInvalid
        return position

    def after_uuid(self) -> UUID | None:
        """The position as a UUID; raises CursorInvalid for a cursor that is not ours."""
        if self.cursor is None:
            return None
        [position] = self.cursors.open(self.scope, self.cursor)
        return UUID(str(position))

    def after_text(self) -> str | None:
        """The position as a text; raises CursorInvalid for a cursor that is not ours."""
        if self.cursor is None:
            return None
        [position] = self.cursors.open(self.scope, self.cursor)
        return str(position)

    def cut(
        self, rows: Sequence[Item], position: Callable[[Item], int | UUID | str]
    ) -> tuple[Sequence[Item], str | None]:
        """The rows to show, and the cursor of the next page when there is one."""
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        last = position(shown[-1])
        mark = last if isinstance(last, int) else str(last)
        return shown, self.cursors.seal(self.scope, [mark])
