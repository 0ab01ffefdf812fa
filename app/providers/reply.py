"""Reads the answer to any call but a submit: usable JSON, or why there is none."""

from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Final

import httpx

from app.providers.classify import refusal_kind, retry_after_seconds
from app.providers.excerpt import reason
from app.providers.protocol import ProviderUnreachable, RefusalKind, TroubleKind
from app.providers.reading import NotReadable, load_json, lower_keys
from app.providers.wire import Answer

_TROUBLES: Final[Mapping[RefusalKind, TroubleKind]] = {
    RefusalKind.CREDENTIALS: TroubleKind.CREDENTIALS,
    RefusalKind.MAINTENANCE: TroubleKind.MAINTENANCE,
    RefusalKind.RATE_LIMITED: TroubleKind.RATE_LIMITED,
}


def error_text(value: Mapping[str, Any]) -> str | None:
    """What an object's `error` says; null, false and empty say that there is none."""
    try:
        error = lower_keys(value).get("error")
    except NotReadable:
        # Two spellings of one key: no error that could be told; reading on will refuse it.
        return None
    return str(error).strip() if error else None


class Reply:
    """One answer as JSON. Every method, and making one, may raise ProviderUnreachable.

    `error_of` finds the error that an object states, where a dialect has words of its own for it.
    """

    def __init__(
        self,
        answer: Answer,
        secrets: Collection[str],
        *,
        error_of: Callable[[Mapping[str, Any]], str | None] = error_text,
    ) -> None:
        self._answer = answer
        self._secrets = secrets
        self._error_of = error_of
        self.received_at = answer.received_at
        status = answer.status
        if httpx.codes.is_server_error(status) or status == HTTPStatus.REQUEST_TIMEOUT:
            raise self._trouble(TroubleKind.SERVER, f"HTTP {status}")
        try:
            self._value: Any = load_json(answer.body)
        except NotReadable as error:
            said = f"HTTP {status}: {error}"
            raise self._trouble(self._kind(""), said) from error

    def error(self) -> str | None:
        """The error that the answer as a whole states, where it states one."""
        return self._error_of(self._value) if isinstance(self._value, dict) else None

    def object(self) -> dict[str, Any]:
        """The answer, an object that is no error."""
        self._check()
        if not isinstance(self._value, dict):
            raise self._trouble(TroubleKind.UNREADABLE, "The answer is not an object.")
        return self._value

    def array(self) -> list[Any]:
        """The answer, a list."""
        self._check()
        if not isinstance(self._value, list):
            raise self._trouble(TroubleKind.UNREADABLE, "The answer is not a list.")
        return self._value

    def content(self) -> dict[str, Any] | list[Any]:
        """The answer, an object that is no error or a list."""
        self._check()
        if not isinstance(self._value, dict | list):
            raise self._trouble(TroubleKind.UNREADABLE, "The answer is no object and no list.")
        return self._value

    def _check(self) -> None:
        error = self.error()
        if error is not None:
            raise self._trouble(self._kind(error), error)
        if not httpx.codes.is_success(self._answer.status):
            raise self._trouble(self._kind(""), f"HTTP {self._answer.status}")

    def _kind(self, error: str) -> TroubleKind:
        kind = refusal_kind(self._answer.status, error)
        otherwise = TroubleKind.REFUSED if error else TroubleKind.UNREADABLE
        return otherwise if kind is None else _TROUBLES.get(kind, otherwise)

    def _trouble(self, kind: TroubleKind, said: str) -> ProviderUnreachable:
        wait = retry_after_seconds(self._answer.headers, self._answer.received_at)
        return ProviderUnreachable(kind, reason(said, self._secrets), retry_after_seconds=wait)
