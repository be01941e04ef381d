from django.db import migrations, models

STATES = [
    ("fine", "Fine"),
    ("attend", "Attend"),
    ("act", "Act"),
    ("no_slo", "No Slo"),
    ("no_data", "No Data"),
    ("counting", "Counting"),
]
# Availability SLOs stand as the statuses of their services say. A worker counts the others within the hour.
FROM_STATUSES = """
INSERT INTO slos_slostanding (slo_id, computed_at, as_of, total, bad, budget_left, burn_1h, burn_6h, burn_1d, burn_3d,
    exhausted_at, state, reason)
SELECT a.id, t.computed_at, t.as_of, t.total, t.bad, t.budget_left, t.burn_1h, t.burn_6h, t.burn_1d, t.burn_3d,
    t.exhausted_at, t.state, t.reason
FROM slos_activeslo a JOIN slos_servicestatus t ON t.service_id = a.service_id
WHERE a.ended_at IS NULL AND a.sli_type = 'availability' AND t.target = a.target::float8
    AND t.window_days = a.window_days
"""


class Migration(migrations.Migration):
    dependencies = [("slos", "0007_status_being_counted")]
    operations = [
        migrations.CreateModel(
            name="SloStanding",
            fields=[
                (
                    "slo",
                    models.OneToOneField(
                        on_delete=models.deletion.CASCADE,
                        primary_key=True,
                        related_name="standing",
                        serialize=False,
                        to="slos.activeslo",
                    ),
                ),
                ("computed_at", models.DateTimeField()),
                ("as_of", models.DateTimeField(null=True)),
                ("total", models.FloatField(default=0)),
                ("bad", models.FloatField(default=0)),
                ("budget_left", models.FloatField(null=True)),
                ("burn_1h", models.FloatField(null=True)),
                ("burn_6h", models.FloatField(null=True)),
                ("burn_1d", models.FloatField(null=True)),
                ("burn_3d", models.FloatField(null=True)),
                ("exhausted_at", models.DateTimeField(null=True)),
                ("state", models.TextField(choices=STATES)),
                ("reason", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name": "SLO standing",
                "indexes": [models.Index("budget_left", name="slo_standing_left")],
            },
        ),
        migrations.RunSQL(FROM_STATUSES, migrations.RunSQL.noop),
    ]
