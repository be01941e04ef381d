from django.db import migrations

from apps.core.remembered import watch


class Migration(migrations.Migration):
    dependencies = [("core", "0007_table_changes"), ("catalog", "0003_ingestions_are_runs")]
    operations = [watch("catalog_service", "catalog_dependency", "catalog_cyclealert")]
