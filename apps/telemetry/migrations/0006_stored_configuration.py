"""What people say of how telemetry is read: where from, and by which metric families."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('telemetry', '0005_worse_never_replaces_better'),
    ]

    operations = [
        migrations.CreateModel(
            name='FamilySet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('families', models.JSONField(default=list)),
                ('order', models.JSONField(default=list)),
                ('made_by_name', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='StoredConnection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.TextField(blank=True, default='')),
                ('org_id', models.TextField(blank=True, default='')),
                ('user', models.TextField(blank=True, default='')),
                ('sealed_password', models.TextField(blank=True, default='')),
                ('sealed_token', models.TextField(blank=True, default='')),
                ('made_by_name', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AlterField(
            model_name='telemetryrun',
            name='kind',
            field=models.TextField(choices=[('backfill', 'Backfill'), ('collection', 'Collection'), ('import', 'Import'), ('discovery', 'Discovery'), ('survey', 'Survey')]),
        ),
    ]
