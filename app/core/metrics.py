"""Every metric of the product, named once; gauges over tables are computed by upkeep, not here."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS: Final = Counter(
    "smmos_http_requests_total",
    "Requests by route template and status",
    ["method", "route", "status"],
)
HTTP_SECONDS: Final = Histogram(
    "smmos_http_request_seconds",
    "Time to answer by route template",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
EVENT_LOOP_LAG: Final = Gauge(
    "smmos_event_loop_lag_seconds", "How late the event loop last woke, worst of the last 5 seconds"
)
CLOCK_SKEW: Final = Gauge(
    "smmos_clock_skew_seconds", "By how much the database's clock is ahead of this machine's"
)
DOORBELL_RINGS: Final = Counter("smmos_doorbell_rings_total", "Rings by outcome", ["outcome"])
RATE_LIMIT_FALLBACKS: Final = Counter(
    "smmos_rate_limit_fallbacks_total", "Limits decided locally because Redis did not answer"
)
PROVIDER_CALLS: Final = Counter(
    "smmos_provider_calls_total", "Provider calls by outcome", ["provider", "call", "outcome"]
)
PROVIDER_SECONDS: Final = Histogram(
    "smmos_provider_call_seconds",
    "Time of provider calls",
    ["provider", "call"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 45),
)
PROVIDER_TURNED_AWAY: Final = Counter(
    "smmos_provider_turned_away_total",
    "Looks at a provider's work that found it closed, by why",
    ["provider", "why"],
)
PROVIDER_BREAKER_OPENS: Final = Counter(
    "smmos_provider_breaker_opens_total", "Openings of a provider's breaker", ["provider"]
)
PROVIDER_BOUND_CUTS: Final = Counter(
    "smmos_provider_bound_cuts_total",
    "Halvings of how many orders may be on their way to a provider at once",
    ["provider"],
)
FENCED: Final = Counter(
    "smmos_fenced_records_total", "Records refused because the lease was lost", ["kind"]
)
WORK_FAILURES: Final = Counter(
    "smmos_work_failures_total", "Drains that ended by an unexpected error", ["kind"]
)
PROVIDER_STATUS_UNKNOWN: Final = Counter(
    "smmos_provider_status_unknown_total",
    "Status words of a provider that we do not know",
    ["provider"],
)
PROVIDER_CHARGE_EXPECTED: Final = Counter(
    "smmos_provider_charge_expected_total",
    "What completed orders were to cost at their provider, in units of its currency",
    ["provider"],
)
CLAIM_LOSSES: Final = Counter(
    "smmos_claim_losses_total",
    "What providers charged for what had been given back of orders, in our currency",
    ["provider"],
)
PROVIDER_CHARGE_DRIFT: Final = Counter(
    "smmos_provider_charge_drift_total",
    "By how much a provider charged more or less than that, both added up",
    ["provider"],
)
