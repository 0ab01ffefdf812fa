-- A role for the API and the workers that can add to the books and not change them.
-- Run it as the owner of the tables, once and after each migration; it may be run again.
-- Then: ALTER ROLE smmos_app PASSWORD '…'; SMMOS_DATABASE_URL names this role, and
-- SMMOS_MIGRATION_DATABASE_URL the owner, to the process that migrates and to no other.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smmos_app') THEN
        CREATE ROLE smmos_app LOGIN;
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO smmos_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO smmos_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO smmos_app;
-- A restored database leaves out the order numbers that it may have forgotten.
GRANT UPDATE ON SEQUENCE order_numbers TO smmos_app;

-- What refuses a change by its trigger is refused by right as well.
DO $$
DECLARE
    book regclass;
BEGIN
    FOR book IN SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'refuse_change' LOOP
        EXECUTE format('REVOKE UPDATE, DELETE ON %s FROM smmos_app', book);
    END LOOP;
END $$;

-- What only a migration writes.
REVOKE INSERT, UPDATE, DELETE ON alembic_version, order_moves FROM smmos_app;
