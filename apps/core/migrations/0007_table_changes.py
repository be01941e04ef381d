"""Marks of changes: a table whose marks are the same holds the same rows.

Each transaction adds a mark of its own, so no two wait for each other, and takes away those of transactions that
ended before it. A mark is random: none ever comes back, not even after a failover that lost commits.
"""

from django.db import migrations

CREATE = """
CREATE TABLE core_tablechange (
    table_name text NOT NULL,
    xact xid8 NOT NULL,
    mark uuid NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (table_name, xact)
);
CREATE FUNCTION core_mark_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO core_tablechange (table_name, xact) VALUES (TG_TABLE_NAME, pg_current_xact_id())
        ON CONFLICT DO NOTHING;
    -- Under a stricter isolation a row that somebody else takes away would be an error.
    IF FOUND AND current_setting('transaction_isolation') = 'read committed' THEN
        DELETE FROM core_tablechange WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM core_tablechange
            WHERE table_name = TG_TABLE_NAME AND xact < pg_snapshot_xmin(pg_current_snapshot())
            FOR UPDATE SKIP LOCKED));
    END IF;
    RETURN NULL;
END $$;
"""

DROP = """
DROP FUNCTION core_mark_change();
DROP TABLE core_tablechange;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0006_run_takes_more")]
    operations = [migrations.RunSQL(CREATE, DROP)]
