"""The five roles with their rights, and the table of the shared cache."""

from django.core.management import call_command
from django.db import migrations

from hotel.rights import create_roles


def forwards(apps, schema_editor):
    create_roles(apps)
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [
        ("hotel", "0001_initial"),
        ("rooms", "0001_initial"),
        ("room_bookings", "0001_initial"),
        ("housekeeping", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
