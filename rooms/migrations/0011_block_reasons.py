"""Each hotel gets a list of reasons for blocks, which it may change."""

from django.db import migrations

REASONS = (
    ("REPAIR", "Repair", "OUT_OF_ORDER", "CHECKOUT_DIRTY"),
    ("MINOR_FAULT", "Minor fault", "OUT_OF_SERVICE", "READY_FOR_GUEST"),
    ("DEEP_CLEAN", "Deep clean", "OUT_OF_ORDER", "CLEANED_UNINSPECTED"),
    ("PEST_CONTROL", "Pest control", "OUT_OF_ORDER", "CHECKOUT_DIRTY"),
    ("RENOVATION", "Renovation", "OUT_OF_INVENTORY", "CHECKOUT_DIRTY"),
    ("HOUSE_USE", "House use", "HOUSE_USE", "CHECKOUT_DIRTY"),
    ("OWNER", "Owner's use", "HOUSE_USE", "CHECKOUT_DIRTY"),
)


def list_reasons(apps, schema_editor):
    alias = schema_editor.connection.alias
    reasons = apps.get_model("rooms", "BlockReason").objects.using(alias)
    hotels = apps.get_model("hotel", "Hotel").objects.using(alias)
    reasons.bulk_create(
        (
            reasons.model(hotel_id=pk, code=code, label=label, default_kind=kind, default_return_status=status)
            for pk in hotels.order_by("pk").values_list("pk", flat=True)
            for code, label, kind, status in REASONS
        ),
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("rooms", "0009_blocks"),
        ("rooms", "0010_out_of_order_blocked"),
        ("hotel", "0014_dry_run"),
    ]

    operations = [migrations.RunPython(list_reasons, migrations.RunPython.noop)]
