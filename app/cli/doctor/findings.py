"""What a check found: fine, suspicious or wrong, and what to do then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis. What is not fine says what to do."""

    verdict: Verdict
    subject: str
    told: str

    def line(self) -> str:
        return f"{self.verdict:<4}  {self.subject:<12}  {self.told}"


def ok(subject: str, told: str) -> Finding:
    return Finding(Verdict.OK, subject, told)


def warn(subject: str, told: str) -> Finding:
    return Finding(Verdict.WARN, subject, told)


def fail(subject: str, told: str) -> Finding:
    return Finding(Verdict.FAIL, subject, told)
