"""Marks stay few while some foreign transaction is open for long.

A mark was taken away once every transaction that began before it had ended, so one long transaction that had written
anything kept all later marks: 10,000 changes left 10,000, which every request then read. A change now takes away every
mark that it sees. Whoever sees the change sees what it saw, and its own mark besides, so no two states have the same
marks. Dead rows are taken away soon after the last snapshot that needs them has ended.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION core_mark_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO core_tablechange (table_name, xact) VALUES (TG_TABLE_NAME, pg_current_xact_id())
        ON CONFLICT DO NOTHING;
    -- Under a stricter isolation a row that somebody else takes away would be an error.
    IF FOUND AND current_setting('transaction_isolation') = 'read committed' THEN
        DELETE FROM core_tablechange WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM core_tablechange
            WHERE table_name = TG_TABLE_NAME AND xact {seen}
            FOR UPDATE SKIP LOCKED));
    END IF;
    RETURN NULL;
END $$;
"""
SOON = """
ALTER TABLE core_tablechange SET (
    autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
"""
AS_ELSEWHERE = """
ALTER TABLE core_tablechange RESET (
    autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0009_schedule_slots_are_runs")]
    operations = [
        migrations.RunSQL(
            FUNCTION.format(seen="<> pg_current_xact_id()") + SOON,
            FUNCTION.format(seen="< pg_snapshot_xmin(pg_current_snapshot())") + AS_ELSEWHERE,
        )
    ]
