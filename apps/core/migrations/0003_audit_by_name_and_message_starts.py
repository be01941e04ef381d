"""The audit trail is found by name; how often a message was started is counted where it cannot be lost."""

import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models
from django.db.models import F


class Migration(migrations.Migration):
    dependencies = [("core", "0002_append_only_audit")]
    operations = [
        migrations.CreateModel(
            name="MessageStart",
            fields=[
                ("message_id", models.TextField(primary_key=True, serialize=False)),
                ("actor", models.TextField()),
                ("starts", models.PositiveIntegerField(default=1)),
                (
                    "last_started_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "indexes": [models.Index("last_started_at", name="message_start_age")],
            },
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                django.db.models.functions.text.Upper("actor_name"),
                F("created_at").desc(),
                F("id").desc(),
                name="audit_actor_name",
            ),
        ),
    ]
