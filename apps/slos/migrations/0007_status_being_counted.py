from django.db import migrations, models

STATES = [
    ("fine", "Fine"),
    ("attend", "Attend"),
    ("act", "Act"),
    ("no_slo", "No Slo"),
    ("no_data", "No Data"),
    ("counting", "Counting"),
]


class Migration(migrations.Migration):
    dependencies = [("slos", "0006_when_inputs_were_read")]
    operations = [migrations.AlterField("servicestatus", "state", models.TextField(choices=STATES))]
