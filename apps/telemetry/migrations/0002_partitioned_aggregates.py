"""The aggregate tables, in monthly partitions that functions of the owner make ahead and drop when they are old.

The application's role owns no table and so cannot add a partition; it calls these functions, which run as their owner
and take nothing but dates and one of four names.
"""

from django.db import migrations

CREATE = """
CREATE TABLE telemetry_slihour (
    service_id bigint NOT NULL,
    bin_start timestamptz NOT NULL,
    total double precision NOT NULL,
    bad double precision NOT NULL,
    observed_seconds integer NOT NULL,
    is_partial boolean NOT NULL DEFAULT false,
    is_implausible boolean NOT NULL DEFAULT false,
    p50_ms double precision[],
    p95_ms double precision[],
    p99_ms double precision[],
    PRIMARY KEY (service_id, bin_start),
    CONSTRAINT slihour_counts CHECK (total >= 0 AND bad >= 0 AND bad <= total)
) PARTITION BY RANGE (bin_start);

CREATE TABLE telemetry_sliday (
    service_id bigint NOT NULL,
    bin_start timestamptz NOT NULL,
    total double precision NOT NULL,
    bad double precision NOT NULL,
    observed_seconds integer NOT NULL,
    is_partial boolean NOT NULL DEFAULT false,
    is_implausible boolean NOT NULL DEFAULT false,
    PRIMARY KEY (service_id, bin_start),
    CONSTRAINT sliday_counts CHECK (total >= 0 AND bad >= 0 AND bad <= total)
) PARTITION BY RANGE (bin_start);

CREATE TABLE telemetry_latencyhour (
    service_id bigint NOT NULL,
    bin_start timestamptz NOT NULL,
    bounds_ms double precision[] NOT NULL,
    cumulative double precision[] NOT NULL,
    PRIMARY KEY (service_id, bin_start),
    CONSTRAINT latencyhour_aligned CHECK (cardinality(bounds_ms) = cardinality(cumulative))
) PARTITION BY RANGE (bin_start);

CREATE TABLE telemetry_edgehour (
    source_id bigint NOT NULL,
    target_id bigint NOT NULL,
    bin_start timestamptz NOT NULL,
    total double precision NOT NULL,
    bad double precision NOT NULL,
    observed_seconds integer NOT NULL,
    PRIMARY KEY (source_id, target_id, bin_start),
    CONSTRAINT edgehour_counts CHECK (total >= 0 AND bad >= 0 AND bad <= total)
) PARTITION BY RANGE (bin_start);

-- Makes the monthly partitions that cover the days from first to last. Safe to call at any time, from any process.
CREATE FUNCTION telemetry_ensure_partitions(first_day date, last_day date) RETURNS integer
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
                    'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
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

-- Drops the partitions of one aggregate that end on or before a day. Returns how many went.
CREATE FUNCTION telemetry_drop_partitions(parent text, before_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    child text;
    dropped integer := 0;
BEGIN
    IF parent NOT IN ('telemetry_slihour', 'telemetry_sliday', 'telemetry_latencyhour', 'telemetry_edgehour') THEN
        RAISE EXCEPTION 'telemetry_drop_partitions does not know %', parent;
    END IF;
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(format('%I', parent))
          AND to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' <= before_day
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE EXECUTE ON FUNCTION telemetry_ensure_partitions(date, date) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION telemetry_drop_partitions(text, date) FROM PUBLIC;
"""

DROP = """
DROP FUNCTION telemetry_drop_partitions(text, date);
DROP FUNCTION telemetry_ensure_partitions(date, date);
DROP TABLE telemetry_edgehour;
DROP TABLE telemetry_latencyhour;
DROP TABLE telemetry_sliday;
DROP TABLE telemetry_slihour;
"""


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
