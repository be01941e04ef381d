import django.contrib.postgres.fields
from django.db import migrations, models

# Which of them are due is not known here: until the next refresh of the statuses, within the hour, all are listed.
FILL = """
UPDATE slos_servicestatus SET due_sli_types = ARRAY['availability', 'latency_p95', 'latency_p99']
WHERE decision_due
"""


class Migration(migrations.Migration):
    dependencies = [
        ("slos", "0002_what_lists_and_impact_need"),
    ]

    operations = [
        migrations.AddField(
            model_name="servicestatus",
            name="due_sli_types",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(
                    choices=[
                        ("availability", "Availability"),
                        ("latency_p95", "Latency P95"),
                        ("latency_p99", "Latency P99"),
                    ]
                ),
                default=list,
                size=None,
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
