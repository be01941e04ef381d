"""What an ingestion shares with all long work moves to the table of runs; its source and its parts stay here."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = [
    """
    INSERT INTO core_run (id, kind, state, parameters, position, origin, requested_by_id, requested_by_name, person_waits,
        dedupe_key, takes_more, queue, attempts, max_attempts, progress_done, progress_total, summary, warnings, errors,
        error_count, lease_owner, lease_token, message_id, stop, stop_asked_by, created_at, started_at, finished_at)
    SELECT id, 'catalog.ingest',
        CASE state WHEN 'running' THEN 'pending' WHEN 'receiving' THEN 'preparing' WHEN 'abandoned' THEN 'cancelled'
            ELSE state END,
        '{}', '{}', origin, requested_by_id, requested_by_name, true, '', false, 'bulk',
        CASE state WHEN 'running' THEN 0 ELSE attempts END, 5, rows_done, rows_total, summary, '[]', errors, error_count, '', 0, '', '', '', created_at, started_at, finished_at
    FROM catalog_ingestion
    """,
    "SET CONSTRAINTS ALL IMMEDIATE",
    """
    ALTER TABLE catalog_ingestion
        DROP COLUMN state, DROP COLUMN requested_by_id, DROP COLUMN requested_by_name, DROP COLUMN origin,
        DROP COLUMN summary, DROP COLUMN errors, DROP COLUMN error_count, DROP COLUMN rows_total, DROP COLUMN rows_done,
        DROP COLUMN attempts, DROP COLUMN created_at, DROP COLUMN started_at, DROP COLUMN finished_at
    """,
    "ALTER TABLE catalog_ingestion RENAME COLUMN id TO run_id",
    "ALTER TABLE catalog_ingestion ALTER COLUMN run_id DROP DEFAULT",
    """
    ALTER TABLE catalog_ingestion ADD CONSTRAINT catalog_ingestion_run_id_fk FOREIGN KEY (run_id)
        REFERENCES core_run (id) DEFERRABLE INITIALLY DEFERRED
    """,
]
BACKWARD = [
    "ALTER TABLE catalog_ingestion DROP CONSTRAINT catalog_ingestion_run_id_fk",
    "ALTER TABLE catalog_ingestion RENAME COLUMN run_id TO id",
    "ALTER TABLE catalog_ingestion ALTER COLUMN id SET DEFAULT uuidv7()",
    """
    ALTER TABLE catalog_ingestion
        ADD COLUMN state text, ADD COLUMN requested_by_id bigint, ADD COLUMN requested_by_name text,
        ADD COLUMN origin text, ADD COLUMN summary jsonb, ADD COLUMN errors jsonb, ADD COLUMN error_count integer,
        ADD COLUMN rows_total integer, ADD COLUMN rows_done integer, ADD COLUMN attempts smallint,
        ADD COLUMN created_at timestamptz NOT NULL DEFAULT statement_timestamp(), ADD COLUMN started_at timestamptz,
        ADD COLUMN finished_at timestamptz
    """,
    """
    UPDATE catalog_ingestion i SET
        state = CASE r.state WHEN 'preparing' THEN 'receiving' WHEN 'cancelled' THEN 'abandoned'
            WHEN 'given_up' THEN 'failed' WHEN 'paused' THEN 'pending' ELSE r.state END,
        requested_by_id = r.requested_by_id, requested_by_name = r.requested_by_name, origin = r.origin,
        summary = r.summary, errors = r.errors, error_count = r.error_count, rows_total = r.progress_total,
        rows_done = r.progress_done, attempts = r.attempts, created_at = r.created_at, started_at = r.started_at,
        finished_at = r.finished_at
    FROM core_run r WHERE r.id = i.id
    """,
    """
    ALTER TABLE catalog_ingestion
        ALTER COLUMN state SET NOT NULL, ALTER COLUMN requested_by_name SET NOT NULL, ALTER COLUMN origin SET NOT NULL,
        ALTER COLUMN summary SET NOT NULL, ALTER COLUMN errors SET NOT NULL, ALTER COLUMN error_count SET NOT NULL,
        ALTER COLUMN rows_total SET NOT NULL, ALTER COLUMN rows_done SET NOT NULL, ALTER COLUMN attempts SET NOT NULL,
        ADD CHECK (error_count >= 0), ADD CHECK (rows_total >= 0), ADD CHECK (rows_done >= 0), ADD CHECK (attempts >= 0),
        ADD CONSTRAINT catalog_ingestion_requested_by_id_fk FOREIGN KEY (requested_by_id)
            REFERENCES accounts_user (id) DEFERRABLE INITIALLY DEFERRED
    """,
    "CREATE INDEX catalog_ingestion_requested_by_id ON catalog_ingestion (requested_by_id)",
    "CREATE INDEX ingestion_newest ON catalog_ingestion (created_at DESC)",
    "DELETE FROM core_run WHERE id IN (SELECT id FROM catalog_ingestion)",
    "SET CONSTRAINTS ALL IMMEDIATE",
]


class Migration(migrations.Migration):

    dependencies = [
        ("core", "0005_run"),
        ("catalog", "0002_redundancy_needed"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.RemoveField("ingestionpart", "ingestion"),
                migrations.DeleteModel("Ingestion"),
                migrations.CreateModel(
                    name="Ingestion",
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
                        (
                            "discovery_source",
                            models.TextField(
                                choices=[
                                    ("manual", "Manual"),
                                    ("file", "File"),
                                    ("otel_service_graph", "Otel"),
                                    ("kubernetes", "Kubernetes"),
                                    ("service_mesh", "Mesh"),
                                    ("backstage", "Backstage"),
                                ]
                            ),
                        ),
                        ("parts_expected", models.PositiveIntegerField(default=1)),
                        ("parts_received", models.PositiveIntegerField(default=0)),
                    ],
                    bases=("core.run",),
                ),
                migrations.AddField(
                    model_name="ingestionpart",
                    name="ingestion",
                    field=models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parts",
                        to="catalog.ingestion",
                    ),
                ),
            ],
        ),
    ]
