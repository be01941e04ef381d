"""What a reading shares with all long work moves to the table of runs; its window and its source stay here."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = [
    """
    INSERT INTO core_run (id, kind, state, parameters, position, origin, requested_by_id, requested_by_name, person_waits,
        dedupe_key, takes_more, queue, attempts, max_attempts, progress_done, progress_total, summary, warnings, errors,
        error_count, lease_owner, lease_token, message_id, stop, stop_asked_by, created_at, started_at, finished_at)
    SELECT id, 'telemetry.' || kind, CASE state WHEN 'running' THEN 'pending' ELSE state END, parameters, '{}', origin,
        requested_by_id, requested_by_name, kind = 'survey', '', false,
        CASE kind WHEN 'collection' THEN 'default' ELSE 'bulk' END, CASE state WHEN 'running' THEN 0 ELSE attempts END, 3,
        progress_done, progress_total, summary, warnings, errors, error_count, '', 0, '', '', '', created_at, started_at, finished_at
    FROM telemetry_telemetryrun
    """,
    "SET CONSTRAINTS ALL IMMEDIATE",
    """
    ALTER TABLE telemetry_telemetryrun
        DROP COLUMN kind, DROP COLUMN state, DROP COLUMN parameters, DROP COLUMN requested_by_id,
        DROP COLUMN requested_by_name, DROP COLUMN origin, DROP COLUMN progress_done, DROP COLUMN progress_total,
        DROP COLUMN summary, DROP COLUMN warnings, DROP COLUMN errors, DROP COLUMN error_count, DROP COLUMN attempts,
        DROP COLUMN created_at, DROP COLUMN started_at, DROP COLUMN finished_at
    """,
    "ALTER TABLE telemetry_telemetryrun RENAME COLUMN id TO run_id",
    "ALTER TABLE telemetry_telemetryrun ALTER COLUMN run_id DROP DEFAULT",
    """
    ALTER TABLE telemetry_telemetryrun ADD CONSTRAINT telemetry_telemetryrun_run_id_fk FOREIGN KEY (run_id)
        REFERENCES core_run (id) DEFERRABLE INITIALLY DEFERRED
    """,
]
BACKWARD = [
    "ALTER TABLE telemetry_telemetryrun DROP CONSTRAINT telemetry_telemetryrun_run_id_fk",
    "ALTER TABLE telemetry_telemetryrun RENAME COLUMN run_id TO id",
    "ALTER TABLE telemetry_telemetryrun ALTER COLUMN id SET DEFAULT uuidv7()",
    """
    ALTER TABLE telemetry_telemetryrun
        ADD COLUMN kind text, ADD COLUMN state text, ADD COLUMN parameters jsonb, ADD COLUMN requested_by_id bigint,
        ADD COLUMN requested_by_name text, ADD COLUMN origin text, ADD COLUMN progress_done integer,
        ADD COLUMN progress_total integer, ADD COLUMN summary jsonb, ADD COLUMN warnings jsonb, ADD COLUMN errors jsonb,
        ADD COLUMN error_count integer, ADD COLUMN attempts smallint,
        ADD COLUMN created_at timestamptz NOT NULL DEFAULT statement_timestamp(), ADD COLUMN started_at timestamptz,
        ADD COLUMN finished_at timestamptz
    """,
    """
    UPDATE telemetry_telemetryrun t SET kind = substr(r.kind, length('telemetry.') + 1),
        state = CASE WHEN r.state IN ('cancelled', 'given_up') THEN 'failed'
            WHEN r.state IN ('completed', 'failed', 'running') THEN r.state ELSE 'pending' END,
        parameters = r.parameters, requested_by_id = r.requested_by_id, requested_by_name = r.requested_by_name,
        origin = r.origin, progress_done = least(r.progress_done, 2147483647),
        progress_total = least(r.progress_total, 2147483647), summary = r.summary, warnings = r.warnings,
        errors = r.errors, error_count = r.error_count, attempts = r.attempts, created_at = r.created_at,
        started_at = r.started_at, finished_at = r.finished_at
    FROM core_run r WHERE r.id = t.id
    """,
    """
    ALTER TABLE telemetry_telemetryrun
        ALTER COLUMN kind SET NOT NULL, ALTER COLUMN state SET NOT NULL, ALTER COLUMN parameters SET NOT NULL,
        ALTER COLUMN requested_by_name SET NOT NULL, ALTER COLUMN origin SET NOT NULL,
        ALTER COLUMN progress_done SET NOT NULL, ALTER COLUMN progress_total SET NOT NULL,
        ALTER COLUMN summary SET NOT NULL, ALTER COLUMN warnings SET NOT NULL, ALTER COLUMN errors SET NOT NULL,
        ALTER COLUMN error_count SET NOT NULL, ALTER COLUMN attempts SET NOT NULL,
        ADD CHECK (progress_done >= 0), ADD CHECK (progress_total >= 0), ADD CHECK (error_count >= 0),
        ADD CHECK (attempts >= 0),
        ADD CONSTRAINT telemetry_telemetryrun_requested_by_id_fk FOREIGN KEY (requested_by_id)
            REFERENCES accounts_user (id) DEFERRABLE INITIALLY DEFERRED
    """,
    "CREATE INDEX telemetry_telemetryrun_requested_by_id ON telemetry_telemetryrun (requested_by_id)",
    "CREATE INDEX telemetry_run_newest ON telemetry_telemetryrun (created_at DESC)",
    "DELETE FROM core_run WHERE kind LIKE 'telemetry.%' AND id IN (SELECT id FROM telemetry_telemetryrun)",
    "SET CONSTRAINTS ALL IMMEDIATE",
]


class Migration(migrations.Migration):

    dependencies = [
        ("core", "0005_run"),
        ("telemetry", "0006_stored_configuration"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.DeleteModel("TelemetryRun"),
                migrations.CreateModel(
                    name="TelemetryRun",
                    fields=[
                        (
                            "run",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                parent_link=True,
                                primary_key=True,
                                related_name="+",
                                serialize=False,
                                to="core.run",
                            ),
                        ),
                        ("source", models.TextField()),
                        ("window_start", models.DateTimeField(null=True)),
                        ("window_end", models.DateTimeField(null=True)),
                    ],
                    bases=("core.run",),
                ),
            ],
        ),
    ]
