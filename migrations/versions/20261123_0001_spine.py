"""The tables of the spine: work, audit, callers, supply, catalogue, ledger, orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Numbers that people see start at random, so that they tell nothing of how many there were.
CREATE_SEQUENCE = """
DO $$ BEGIN
    EXECUTE format('CREATE SEQUENCE %s START %s', '{name}', 1000000 + floor(random() * 8000000)::bigint);
END $$
"""


def upgrade() -> None:
    for name in ("order_numbers", "service_numbers"):
        op.execute(CREATE_SEQUENCE.format(name=name))
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
    )
    op.create_table(
        "exchange_rates",
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("rate_micros > 0", name=op.f("ck_exchange_rates_rate_micros")),
        sa.PrimaryKeyConstraint("currency", "valid_from", name=op.f("pk_exchange_rates")),
    )
    op.create_table(
        "gauges",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_gauges")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        "ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False
    )
    op.create_table(
        "installation",
        sa.Column("one", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("one", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_installation")),
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref_type", sa.Text(), nullable=False),
        sa.Column("ref_id", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        sa.UniqueConstraint(
            "kind", "ref_type", "ref_id", name=op.f("uq_journal_kind_ref_type_ref_id")
        ),
    )
    op.create_index("ix_journal_created_at", "journal", ["created_at"], unique=False)
    op.create_table(
        "operators",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operators")),
        sa.UniqueConstraint("email", name=op.f("uq_operators_email")),
    )
    op.create_table(
        "order_moves",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "target", name=op.f("pk_order_moves")),
    )
    op.create_table(
        "plans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("limits_per_minute", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
        sa.UniqueConstraint("code", name=op.f("uq_plans_code")),
    )
    op.create_table(
        "providers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("adapter", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("in_flight_max", sa.Integer(), nullable=False),
        sa.Column("calls_per_minute", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pause_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pause_balance_micros", sa.BigInteger(), nullable=True),
        sa.Column("funds_trials", sa.Integer(), server_default="0", nullable=False),
        sa.Column("funds_trial_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("balance_micros", sa.BigInteger(), nullable=True),
        sa.Column("balance_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("breaker_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("breaker_read_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("breaker_opens", sa.Integer(), server_default="0", nullable=False),
        sa.Column("breaker_open_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("breaker_closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("budget_window", sa.DateTime(timezone=True), nullable=True),
        sa.Column("budget_submits", sa.Integer(), server_default="0", nullable=False),
        sa.Column("budget_reads", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('active','paused')", name=op.f("ck_providers_state")),
        sa.CheckConstraint(
            "calls_per_minute BETWEEN 1 AND 100000", name=op.f("ck_providers_calls_per_minute")
        ),
        sa.CheckConstraint(
            "in_flight_max BETWEEN 1 AND 200", name=op.f("ck_providers_in_flight_max")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_providers")),
        sa.UniqueConstraint("name", name=op.f("uq_providers_name")),
    )
    op.create_table(
        "services",
        sa.Column(
            "id",
            sa.BigInteger(),
            server_default=sa.text("nextval('service_numbers')"),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("min_quantity", sa.BigInteger(), nullable=False),
        sa.Column("max_quantity", sa.BigInteger(), nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("price_unit", sa.Integer(), nullable=False),
        sa.Column("markup_basis_points", sa.Integer(), nullable=False),
        sa.Column("package_units", sa.BigInteger(), nullable=True),
        sa.Column("below_cost_allowed", sa.Boolean(), nullable=False),
        sa.Column(
            "outreach_allowed", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("refill", sa.Boolean(), nullable=False),
        sa.Column("refill_days", sa.Integer(), server_default="30", nullable=False),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("deliver_hours_min", sa.Integer(), nullable=False),
        sa.Column("deliver_hours_max", sa.Integer(), nullable=False),
        sa.Column("risk_notice", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('on_sale','off_sale')", name=op.f("ck_services_state")),
        sa.CheckConstraint("max_quantity <= 100000000", name=op.f("ck_services_max_quantity")),
        sa.CheckConstraint(
            "min_quantity >= 1 AND max_quantity >= min_quantity", name=op.f("ck_services_bounds")
        ),
        sa.CheckConstraint(
            "package_units IS NULL OR package_units > 0", name=op.f("ck_services_package_units")
        ),
        sa.CheckConstraint("price_unit IN (1, 1000)", name=op.f("ck_services_price_unit")),
        sa.CheckConstraint("rate_micros > 0", name=op.f("ck_services_rate_micros")),
        sa.CheckConstraint("refill_days BETWEEN 0 AND 3650", name=op.f("ck_services_refill_days")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
    )
    op.create_table(
        "work",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work")),
        sa.UniqueConstraint("kind", "ref", name=op.f("uq_work_kind_ref")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_work_due",
        "work",
        ["kind", "lane", "due_at"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NULL"),
    )
    op.create_index("ix_work_ref", "work", ["ref"], unique=False)
    op.create_index(
        "ix_work_leased",
        "work",
        ["kind", "lane"],
        unique=False,
        postgresql_where=sa.text("lease_token IS NOT NULL"),
    )
    op.create_table(
        "operator_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("lookup", sa.Text(), nullable=False),
        sa.Column("secret_mac", sa.LargeBinary(), nullable=False),
        sa.Column("pepper", sa.Text(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operators.id"], name=op.f("fk_operator_keys_operator_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_keys")),
        sa.UniqueConstraint("lookup", name=op.f("uq_operator_keys_lookup")),
    )
    op.create_index("ix_operator_keys_operator_id", "operator_keys", ["operator_id"], unique=False)
    op.create_table(
        "resellers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("standing_reason", sa.Text(), nullable=True),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "standing IN ('active','limited','suspended','terminated')",
            name=op.f("ck_resellers_standing"),
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_resellers_plan_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resellers")),
        sa.UniqueConstraint("email", name=op.f("uq_resellers_email")),
    )
    op.create_table(
        "service_attestations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("attested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "method IN ('advertising','creators','opted_in_users','own_media')",
            name=op.f("ck_service_attestations_method"),
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operators.id"], name=op.f("fk_service_attestations_operator_id")
        ),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_service_attestations_service_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_attestations")),
    )
    op.create_index(
        "uq_service_attestations_standing",
        "service_attestations",
        ["service_id"],
        unique=True,
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )
    op.create_table(
        "service_routes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("provider_service", sa.Text(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("closed_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('open','closed')", name=op.f("ck_service_routes_state")),
        sa.CheckConstraint("cost_micros >= 0", name=op.f("ck_service_routes_cost_micros")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_service_routes_provider_id")
        ),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_service_routes_service_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_routes")),
        sa.UniqueConstraint(
            "service_id",
            "provider_id",
            "provider_service",
            name=op.f("uq_service_routes_service_id_provider_id_provider_service"),
        ),
    )
    op.create_table(
        "books",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reseller_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('live','test')", name=op.f("ck_books_mode")),
        sa.ForeignKeyConstraint(
            ["reseller_id"], ["resellers.id"], name=op.f("fk_books_reseller_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books")),
        sa.UniqueConstraint("reseller_id", "mode", name=op.f("uq_books_reseller_id_mode")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=True),
        sa.Column("balance", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.BigInteger(), nullable=True),
        sa.Column("spendable", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint(
            "(kind = 'wallet') = (book_id IS NOT NULL AND balance IS NOT NULL AND held IS NOT NULL)",
            name=op.f("ck_accounts_wallet"),
        ),
        sa.CheckConstraint("balance >= 0 AND held >= 0", name=op.f("ck_accounts_balance")),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_accounts_book_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_index(
        "uq_accounts_wallet",
        "accounts",
        ["book_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'wallet'"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("lookup", sa.Text(), nullable=False),
        sa.Column("secret_mac", sa.LargeBinary(), nullable=False),
        sa.Column("pepper", sa.Text(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("allowed_cidrs", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "panel_get_allowed", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("panel_window_seconds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_api_keys_book_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("lookup", name=op.f("uq_api_keys_lookup")),
    )
    op.create_index("ix_api_keys_book_id", "api_keys", ["book_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column(
            "id",
            sa.BigInteger(),
            server_default=sa.text("nextval('order_numbers')"),
            nullable=False,
        ),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wait_reason", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=True),
        sa.Column("start_count", sa.BigInteger(), nullable=True),
        sa.Column("remains", sa.BigInteger(), nullable=True),
        sa.Column("doubts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("doubted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("doubt_reason", sa.Text(), nullable=True),
        sa.Column("unusable_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("charge", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("earned", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("forfeited", sa.BigInteger(), nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("price_unit", sa.Integer(), nullable=False),
        sa.Column("markup_basis_points", sa.Integer(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("link_hash", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Uuid(), nullable=True),
        sa.Column("provider_order_id", sa.Text(), nullable=True),
        sa.Column("cancel_state", sa.Text(), nullable=True),
        sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deliver_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('completed','partial','canceled','failed')) = (ended_at IS NOT NULL) AND (ended_at IS NULL OR held = 0)",
            name=op.f("ck_orders_ended"),
        ),
        sa.CheckConstraint(
            "state IN ('queued','on_hold','submitting','unknown','needs_review','in_progress','completed','partial','canceled','failed')",
            name=op.f("ck_orders_state"),
        ),
        sa.CheckConstraint(
            "charge = held + earned + refunded + forfeited", name=op.f("ck_orders_arithmetic")
        ),
        sa.CheckConstraint(
            "(cancel_state IS NULL) = (cancel_at IS NULL)", name=op.f("ck_orders_cancel_at")
        ),
        sa.CheckConstraint(
            "cancel_state IN ('requested','asked','refused')", name=op.f("ck_orders_cancel_state")
        ),
        sa.CheckConstraint("charge > 0", name=op.f("ck_orders_charge")),
        sa.CheckConstraint(
            "held >= 0 AND earned >= 0 AND refunded >= 0 AND forfeited >= 0",
            name=op.f("ck_orders_amounts"),
        ),
        sa.CheckConstraint("quantity BETWEEN 1 AND 100000000", name=op.f("ck_orders_quantity")),
        sa.CheckConstraint(
            "remains >= 0 AND (units IS NULL OR remains <= units)", name=op.f("ck_orders_remains")
        ),
        sa.CheckConstraint("units > 0", name=op.f("ck_orders_units")),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_orders_book_id")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_orders_provider_id")
        ),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_orders_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index("ix_orders_book_id_id", "orders", ["book_id", "id"], unique=False)
    op.create_index("ix_orders_book_id_link_hash", "orders", ["book_id", "link_hash"], unique=False)
    op.create_index(
        "ix_orders_ended_at",
        "orders",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index(
        "ix_orders_running",
        "orders",
        ["state", "created_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "uq_orders_provider_order",
        "orders",
        ["provider_id", "provider_order_id"],
        unique=True,
        postgresql_where=sa.text("provider_order_id IS NOT NULL"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("route_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("provider_service", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_currency", sa.Text(), nullable=False),
        sa.Column("rate_to_ours_micros", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sending_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("provider_order_id", sa.Text(), nullable=True),
        sa.Column("provider_charge_micros", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('leased','sending','accepted','refused','unknown','absent')",
            name=op.f("ck_attempts_state"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_attempts_order_id")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_attempts_provider_id")
        ),
        sa.ForeignKeyConstraint(
            ["route_id"], ["service_routes.id"], name=op.f("fk_attempts_route_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("order_id", "number", name=op.f("uq_attempts_order_id_number")),
    )
    op.create_index(
        "uq_attempts_possibly_live",
        "attempts",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('leased','sending','accepted','unknown')"),
    )
    op.create_table(
        "order_events",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_events_order_id")),
        sa.PrimaryKeyConstraint("order_id", "seq", name=op.f("pk_order_events")),
    )
    op.create_table(
        "order_holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_holds_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_holds")),
    )
    op.create_index(
        "uq_order_holds_open",
        "order_holds",
        ["order_id", "source", "source_id"],
        unique=True,
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_table(
        "order_inputs",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_inputs_order_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_inputs")),
    )
    op.create_table(
        "postings",
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_postings_amount")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_postings_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["journal_id"], ["journal.id"], name=op.f("fk_postings_journal_id")
        ),
        sa.PrimaryKeyConstraint("journal_id", "line", name=op.f("pk_postings")),
    )
    op.create_index(
        "ix_postings_account_id_journal_id", "postings", ["account_id", "journal_id"], unique=False
    )
    op.create_index("ix_postings_order_id", "postings", ["order_id"], unique=False)
    op.create_table(
        "provider_evidence",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("provider_order_id", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_provider_evidence_attempt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_evidence")),
    )
    op.create_index(
        "ix_provider_evidence_provider_order_id",
        "provider_evidence",
        ["provider_order_id"],
        unique=False,
    )
    op.create_index(
        "ix_provider_evidence_attempt_id", "provider_evidence", ["attempt_id"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_provider_evidence_attempt_id", table_name="provider_evidence")
    op.drop_table("provider_evidence")
    op.drop_index("ix_postings_order_id", table_name="postings")
    op.drop_index("ix_postings_account_id_journal_id", table_name="postings")
    op.drop_table("postings")
    op.drop_table("order_inputs")
    op.drop_index(
        "uq_order_holds_open",
        table_name="order_holds",
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.drop_table("order_holds")
    op.drop_table("order_events")
    op.drop_index(
        "uq_attempts_possibly_live",
        table_name="attempts",
        postgresql_where=sa.text("state IN ('leased','sending','accepted','unknown')"),
    )
    op.drop_table("attempts")
    op.drop_index(
        "uq_orders_provider_order",
        table_name="orders",
        postgresql_where=sa.text("provider_order_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_orders_running", table_name="orders", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_index(
        "ix_orders_ended_at", table_name="orders", postgresql_where=sa.text("ended_at IS NOT NULL")
    )
    op.drop_index("ix_orders_book_id_link_hash", table_name="orders")
    op.drop_index("ix_orders_book_id_id", table_name="orders")
    op.drop_table("orders")
    op.drop_index("ix_api_keys_book_id", table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index(
        "uq_accounts_wallet", table_name="accounts", postgresql_where=sa.text("kind = 'wallet'")
    )
    op.drop_table("accounts")
    op.drop_table("books")
    op.drop_table("service_routes")
    op.drop_index(
        "uq_service_attestations_standing",
        table_name="service_attestations",
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )
    op.drop_table("service_attestations")
    op.drop_table("resellers")
    op.drop_index("ix_operator_keys_operator_id", table_name="operator_keys")
    op.drop_table("operator_keys")
    op.drop_index(
        "ix_work_leased", table_name="work", postgresql_where=sa.text("lease_token IS NOT NULL")
    )
    op.drop_index("ix_work_due", table_name="work", postgresql_where=sa.text("lease_token IS NULL"))
    op.drop_table("work")
    op.drop_table("services")
    op.drop_table("providers")
    op.drop_table("plans")
    op.drop_table("order_moves")
    op.drop_table("operators")
    op.drop_index("ix_journal_created_at", table_name="journal")
    op.drop_table("journal")
    op.drop_table("installation")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("gauges")
    op.drop_table("exchange_rates")
    op.drop_table("audit_log")
    for name in ("order_numbers", "service_numbers"):
        op.execute(f"DROP SEQUENCE {name}")
