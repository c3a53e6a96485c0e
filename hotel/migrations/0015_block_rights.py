"""The rights to block rooms, for the roles that have them; a role that the hotel has deleted stays deleted."""

from django.db import migrations

MANAGES = ("front office manager", "housekeeping supervisor", "hotel manager")
ROLES = {
    ("room", "block_manage", "rooms: block manage"): MANAGES,
    ("room", "block_inventory", "rooms: block inventory"): ("hotel manager",),
    ("roomblock", "view_roomblock", "Can view room block"): ("hotel manager",),
    ("blockreason", "view_blockreason", "Can view block reason"): ("hotel manager",),
    ("blockreason", "add_blockreason", "Can add block reason"): ("hotel manager",),
    ("blockreason", "change_blockreason", "Can change block reason"): ("hotel manager",),
    ("blockreason", "delete_blockreason", "Can delete block reason"): ("hotel manager",),
}


def give(apps, schema_editor):
    alias = schema_editor.connection.alias
    groups = apps.get_model("auth", "Group").objects.using(alias)
    types = apps.get_model("contenttypes", "ContentType").objects.using(alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    for (model, codename, name), roles in ROLES.items():
        home, _ = types.get_or_create(app_label="rooms", model=model)
        right, _ = permissions.get_or_create(content_type=home, codename=codename, defaults={"name": name})
        for group in groups.filter(name__in=roles):
            group.permissions.add(right)


class Migration(migrations.Migration):
    dependencies = [
        ("hotel", "0014_dry_run"),
        ("rooms", "0009_blocks"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
