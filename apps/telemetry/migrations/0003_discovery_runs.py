from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0002_partitioned_aggregates")]

    operations = [
        migrations.AlterField(
            model_name="telemetryrun",
            name="kind",
            field=models.TextField(
                choices=[
                    ("backfill", "Backfill"),
                    ("collection", "Collection"),
                    ("import", "Import"),
                    ("discovery", "Discovery"),
                ]
            ),
        ),
    ]
