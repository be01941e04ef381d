from django.db import migrations

from apps.core.remembered import watch


class Migration(migrations.Migration):
    dependencies = [("core", "0007_table_changes"), ("slos", "0004_what_edges_turn_out_to_be")]
    operations = [watch("slos_servicestatus", "slos_recommendation", "slos_activeslo")]
