from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("slos", "0005_changes_marked")]
    operations = [
        migrations.AddField("recommendation", "computed_from", models.DateTimeField(null=True)),
    ]
