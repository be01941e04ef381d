from django.db import migrations

from apps.core.remembered import watch


class Migration(migrations.Migration):
    dependencies = [("core", "0006_table_changes"), ("catalog", "0002_redundancy_needed")]
    operations = [watch("catalog_service", "catalog_dependency", "catalog_cyclealert")]
