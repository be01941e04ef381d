from django.db import migrations

from apps.core.remembered import watch


class Migration(migrations.Migration):
    dependencies = [("core", "0007_table_changes"), ("accounts", "0001_initial")]
    operations = [watch("accounts_team")]
