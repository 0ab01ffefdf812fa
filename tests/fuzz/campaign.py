"""Schemathesis over one document against a served platform, and what it found."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import engine
from schemathesis.config import (
    ChecksConfig,
    CoveragePhaseConfig,
    GenerationConfig,
    PhasesConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    StatefulPhaseConfig,
)
from schemathesis.config._checks import NegativeDataRejectionConfig
from schemathesis.engine import events

RULES_BEYOND_SCHEMAS = ["400", "402", "422"]
"""What a body that obeys its schema may still be refused with: a service that is not sold, a cursor
that we never made, a balance that does not suffice."""

TOO_LARGE = "413"
"""A body that breaks its schema by its size is refused before anybody compares the two."""

KNOWN: dict[tuple[str, str], str] = {
    ("unsupported_method", "POST /v1/orders/batch"): "GET there reads an order of that number",
    ("allow_header_conformance", "POST /v1/orders/batch"): "so GET is allowed there too",
}
"""Findings that are as they should be, and why."""


@dataclass(slots=True)
class Found:
    """The outcome of a campaign: what was wrong, by check and operation, with an example each."""

    wrong: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)

    def report(self) -> str:
        return "\n\n".join([*self.errors, *(f"{k}: {v}" for k, v in sorted(self.wrong.items()))])


def run(
    document: dict[str, Any],
    *,
    url: str,
    key: str,
    examples: int,
    thorough: bool,
    leave_out: list[str],
) -> Found:
    """All phases and all checks; `thorough` also goes through every boundary of every field.

    `leave_out` are operations by their ids.
    """
    config = _config(url, key, examples, thorough)
    schema = schemathesis.openapi.from_dict(document, config=config).exclude(operation_id=leave_out)
    found = Found()
    for event in engine.from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _note(found, event)
            case events.NonFatalError():
                found.errors.append(f"{event.label}: {event.value}")
            case events.FatalError():
                found.errors.append(repr(event.exception))
            case _:
                pass
    return found


def _config(url: str, key: str, examples: int, thorough: bool) -> SchemathesisConfig:
    checks = ChecksConfig(
        positive_data_acceptance=PositiveDataAcceptanceConfig(
            expected_statuses=[
                *PositiveDataAcceptanceConfig._DEFAULT_EXPECTED_STATUSES,
                *RULES_BEYOND_SCHEMAS,
            ]
        ),
        negative_data_rejection=NegativeDataRejectionConfig(
            expected_statuses=[
                *NegativeDataRejectionConfig._DEFAULT_EXPECTED_STATUSES,
                TOO_LARGE,
            ]
        ),
    )
    project = ProjectConfig(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        generation=GenerationConfig(max_examples=examples, database="none"),
        checks=checks,
        phases=PhasesConfig(
            coverage=CoveragePhaseConfig(enabled=thorough),
            stateful=StatefulPhaseConfig(generation=GenerationConfig(max_examples=examples)),
        ),
        continue_on_failure=True,
    )
    return SchemathesisConfig(projects=ProjectsConfig(default=project))


def _note(found: Found, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    for case_id, interaction in recorder.interactions.items():
        found.operations.add(recorder.cases[case_id].value.operation.label)
        if interaction.response is not None:
            found.answers[interaction.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            operation = recorder.cases[case_id].value.operation.label
            if check.failure_info is not None and (check.name, operation) not in KNOWN:
                failure = check.failure_info
                text = f"{failure.failure.title}\n{failure.failure.message}\n{failure.code_sample}"
                found.wrong.setdefault((check.name, operation), text)
