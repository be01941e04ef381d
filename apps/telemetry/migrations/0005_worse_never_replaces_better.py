"""What a reading may not replace is told from what it may: partial answers are marked, contested hours kept apart.

And what a reading found out about the data stays with the day it was found on.
"""

import django.db.models.deletion
from django.db import migrations, models


MARKS = """
ALTER TABLE telemetry_latencyhour ADD COLUMN is_partial boolean NOT NULL DEFAULT false;
ALTER TABLE telemetry_edgehour ADD COLUMN is_partial boolean NOT NULL DEFAULT false;
"""

NO_MARKS = """
ALTER TABLE telemetry_edgehour DROP COLUMN is_partial;
ALTER TABLE telemetry_latencyhour DROP COLUMN is_partial;
"""

# The hourly collection looks for what it has to ask again: few rows, or none, of millions.
FIND = """
CREATE INDEX telemetry_slihour_partial ON telemetry_slihour (bin_start) WHERE is_partial;
CREATE INDEX telemetry_latencyhour_partial ON telemetry_latencyhour (bin_start) WHERE is_partial;
CREATE INDEX telemetry_edgehour_partial ON telemetry_edgehour (bin_start) WHERE is_partial;
"""

FIND_NOT = """
DROP INDEX telemetry_edgehour_partial;
DROP INDEX telemetry_latencyhour_partial;
DROP INDEX telemetry_slihour_partial;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0002_redundancy_needed'),
        ('telemetry', '0004_hours_read_from_their_index'),
    ]

    operations = [
        migrations.RunSQL(MARKS, NO_MARKS),
        migrations.RunSQL(FIND, FIND_NOT),
        migrations.CreateModel(
            name='ContestedHour',
            fields=[
                ('pk', models.CompositePrimaryKey('service_id', 'bin_start', 'measure', 'target_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('bin_start', models.DateTimeField()),
                ('measure', models.TextField(choices=[('requests', 'Requests'), ('calls', 'Calls'), ('latency', 'Latency')])),
                ('target_id', models.BigIntegerField(default=0)),
                ('total', models.FloatField()),
                ('bad', models.FloatField()),
                ('is_implausible', models.BooleanField(default=False)),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('seen_times', models.IntegerField(default=1)),
                ('run', models.UUIDField()),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='catalog.service')),
            ],
            options={
                'db_table': 'telemetry_contestedhour',
                'indexes': [models.Index(fields=['bin_start'], name='telemetry_contested_when')],
            },
        ),
        migrations.CreateModel(
            name='FindingDay',
            fields=[
                ('day', models.DateField()),
                ('hours', models.IntegerField()),
                ('pk', models.CompositePrimaryKey('service_id', 'day', 'kind', 'subject', blank=True, editable=False, primary_key=True, serialize=False)),
                ('kind', models.TextField()),
                ('subject', models.TextField(blank=True)),
                ('detail', models.JSONField(default=dict)),
                ('first_seen_at', models.DateTimeField()),
                ('updated_at', models.DateTimeField()),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='catalog.service')),
            ],
            options={
                'db_table': 'telemetry_finding',
                'constraints': [models.CheckConstraint(condition=models.Q(('hours__gte', 0), ('hours__lt', 16777216)), name='telemetry_finding_hours')],
            },
        ),
        migrations.CreateModel(
            name='StretchDay',
            fields=[
                ('day', models.DateField()),
                ('hours', models.IntegerField()),
                ('pk', models.CompositePrimaryKey('service_id', 'day', 'family', blank=True, editable=False, primary_key=True, serialize=False)),
                ('family', models.TextField()),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='catalog.service')),
            ],
            options={
                'db_table': 'telemetry_stretch',
                'constraints': [models.CheckConstraint(condition=models.Q(('hours__gte', 0), ('hours__lt', 16777216)), name='telemetry_stretch_hours')],
            },
        ),
    ]
