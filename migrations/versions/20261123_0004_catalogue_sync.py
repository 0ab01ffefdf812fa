"""Catalogue sync: the mirror of what providers sell, findings, mark-up rules, price history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

APPEND_ONLY = ("provider_service_changes", "service_prices")
FACTS = postgresql.JSONB(astext_type=sa.Text())
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_index(
        "ix_service_routes_provider_id_provider_service",
        "service_routes",
        ["provider_id", "provider_service"],
    )
    create_mirror()
    create_findings_and_syncs()
    create_prices()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def create_mirror() -> None:
    op.create_table(
        "provider_services",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("provider_service", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("approved_rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("min_quantity", sa.BigInteger(), nullable=False),
        sa.Column("max_quantity", sa.BigInteger(), nullable=False),
        sa.Column("refill", sa.Boolean(), nullable=False),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("dripfeed", sa.Boolean(), nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("missing_since", MOMENT, nullable=True),
        sa.Column("gone_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_services_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_services")),
        sa.UniqueConstraint(
            "provider_id",
            "provider_service",
            name=op.f("uq_provider_services_provider_id_provider_service"),
        ),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index(
        "ix_provider_services_provider_id_id", "provider_services", ["provider_id", "id"]
    )
    op.create_table(
        "provider_service_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("provider_service", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("before", FACTS, nullable=False),
        sa.Column("after", FACTS, nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["providers.id"],
            name=op.f("fk_provider_service_changes_provider_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_service_changes")),
    )
    op.create_index(
        "ix_provider_service_changes_service",
        "provider_service_changes",
        ["provider_id", "provider_service", "id"],
    )


def create_findings_and_syncs() -> None:
    op.create_table(
        "catalogue_findings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("provider_service", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("before", FACTS, nullable=False),
        sa.Column("after", FACTS, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('price_jump','bounds','type','vanished','duplicated')",
            name=op.f("ck_catalogue_findings_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('open','accepted','rejected','withdrawn')",
            name=op.f("ck_catalogue_findings_state"),
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_catalogue_findings_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_findings")),
    )
    op.create_index(
        "uq_catalogue_findings_standing",
        "catalogue_findings",
        ["provider_id", "provider_service", "kind"],
        unique=True,
        postgresql_where=sa.text("state IN ('open','rejected')"),
    )
    op.create_table(
        "catalogue_syncs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("counts", FACTS, nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (outcome IS NULL)", name=op.f("ck_catalogue_syncs_ended")
        ),
        sa.CheckConstraint("outcome IN ('ok','failed')", name=op.f("ck_catalogue_syncs_outcome")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_catalogue_syncs_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_syncs")),
    )
    op.create_index(
        "uq_catalogue_syncs_running",
        "catalogue_syncs",
        ["provider_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_catalogue_syncs_provider_id_id", "catalogue_syncs", ["provider_id", "id"])
    op.create_table(
        "sync_rules",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("price_jump_basis_points", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "price_jump_basis_points BETWEEN 0 AND 100000", name=op.f("ck_sync_rules_price_jump")
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_sync_rules_provider_id")
        ),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_sync_rules")),
    )


def create_prices() -> None:
    op.create_table(
        "markup_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=True),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("percent_basis_points", sa.Integer(), nullable=False),
        sa.Column("fixed_micros", sa.BigInteger(), nullable=False),
        sa.Column("step_micros", sa.BigInteger(), nullable=False),
        sa.Column("floor_micros", sa.BigInteger(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "CASE scope WHEN 'default' THEN provider_id IS NULL AND service_id IS NULL"
            " WHEN 'provider' THEN provider_id IS NOT NULL AND service_id IS NULL"
            " WHEN 'service' THEN provider_id IS NULL AND service_id IS NOT NULL"
            " ELSE false END",
            name=op.f("ck_markup_rules_scope"),
        ),
        sa.CheckConstraint(
            "percent_basis_points BETWEEN -10000 AND 1000000",
            name=op.f("ck_markup_rules_percent"),
        ),
        sa.CheckConstraint("fixed_micros >= 0", name=op.f("ck_markup_rules_fixed")),
        sa.CheckConstraint("step_micros >= 1", name=op.f("ck_markup_rules_step")),
        sa.CheckConstraint("floor_micros >= 0", name=op.f("ck_markup_rules_floor")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_markup_rules_provider_id")
        ),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_markup_rules_service_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_markup_rules")),
        sa.UniqueConstraint(
            "scope",
            "provider_id",
            "service_id",
            name=op.f("uq_markup_rules_scope_provider_id_service_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "service_prices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_service_prices_service_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_prices")),
    )
    op.create_index("ix_service_prices_service_id_id", "service_prices", ["service_id", "id"])


def downgrade() -> None:
    for table in (
        "service_prices",
        "markup_rules",
        "sync_rules",
        "catalogue_syncs",
        "catalogue_findings",
        "provider_service_changes",
        "provider_services",
    ):
        op.drop_table(table)
    op.drop_index("ix_service_routes_provider_id_provider_service", table_name="service_routes")
