"""Hours come in fleet by fleet and are read service by service: of a service's hours each lies on another page.

So the primary keys of what is read by the thousand hold the counts as well, and a history is a few pages of its index.
PostgreSQL trusts an index alone only for pages that a vacuum has seen: by default once a fifth of a month has come in,
here once a fiftieth has. What pays for it: half as much index again, and counts that are read anew are written to the
index too.
"""

from django.db import migrations

COVERING = """
ALTER TABLE telemetry_slihour DROP CONSTRAINT telemetry_slihour_pkey,
    ADD PRIMARY KEY (service_id, bin_start) INCLUDE (total, bad, observed_seconds, is_partial, is_implausible);
ALTER TABLE telemetry_edgehour DROP CONSTRAINT telemetry_edgehour_pkey,
    ADD PRIMARY KEY (source_id, target_id, bin_start) INCLUDE (total, bad, observed_seconds);
"""

PLAIN = """
ALTER TABLE telemetry_edgehour DROP CONSTRAINT telemetry_edgehour_pkey,
    ADD PRIMARY KEY (source_id, target_id, bin_start);
ALTER TABLE telemetry_slihour DROP CONSTRAINT telemetry_slihour_pkey, ADD PRIMARY KEY (service_id, bin_start);
"""

# A partition takes no storage option from its parent, so the function that makes it gives it one.
ENSURE = """
CREATE OR REPLACE FUNCTION telemetry_ensure_partitions(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    month date := date_trunc('month', first_day)::date;
    parent text;
    made integer := 0;
BEGIN
    IF last_day < first_day OR last_day - first_day > 3700 THEN
        RAISE EXCEPTION 'telemetry_ensure_partitions covers at most ten years, first day first: % to %', first_day, last_day;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('telemetry_partitions'));
    WHILE month <= last_day LOOP
        FOREACH parent IN ARRAY ARRAY['telemetry_slihour', 'telemetry_sliday', 'telemetry_latencyhour', 'telemetry_edgehour']
        LOOP
            IF to_regclass(format('%I', parent || to_char(month, '_YYYYMM'))) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) [options]',
                    parent || to_char(month, '_YYYYMM'), parent,
                    to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
                    to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
                made := made + 1;
            END IF;
        END LOOP;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END $$;
"""
OPTIONS = "WITH (autovacuum_vacuum_insert_scale_factor = 0.02)"

EVERY_PARTITION = """
DO $$
DECLARE
    child regclass;
BEGIN
    FOR child IN
        SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent IN ('telemetry_slihour'::regclass, 'telemetry_sliday'::regclass,
            'telemetry_latencyhour'::regclass, 'telemetry_edgehour'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s [change]', child);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0003_discovery_runs")]
    operations = [
        migrations.RunSQL(COVERING, PLAIN),
        migrations.RunSQL(ENSURE.replace("[options]", OPTIONS), ENSURE.replace(" [options]", "")),
        migrations.RunSQL(
            EVERY_PARTITION.replace("[change]", "SET (autovacuum_vacuum_insert_scale_factor = 0.02)"),
            EVERY_PARTITION.replace("[change]", "RESET (autovacuum_vacuum_insert_scale_factor)"),
        ),
    ]
