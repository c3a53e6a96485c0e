"""Hotels whose business day ended after noon, or after the next day's first arrivals, end it at the earlier of the two."""

from datetime import time

from django.db import migrations
from django.db.models import F, Q

NOON = time(12, 0)


def end_earlier(apps, schema_editor):
    """Say of each what it was, so that nobody has to find out: its managers can set both times again."""
    hotels = apps.get_model("hotel", "Hotel").objects.using(schema_editor.connection.alias)
    late = Q(late_arrival_cutoff__gt=NOON) | Q(late_arrival_cutoff__gt=F("early_checkin_from"))
    for hotel in hotels.filter(late).order_by("pk"):
        was, first = hotel.late_arrival_cutoff, hotel.early_checkin_from
        now = min(NOON, first)
        hotels.filter(pk=hotel.pk).update(late_arrival_cutoff=now)
        print(
            f"\n  The business day of hotel {hotel.slug} ended at {was:%H:%M}, which is after noon or after its earliest "
            f"check-in ({first:%H:%M}); it ends at {now:%H:%M} now.",
            end="",
        )


class Migration(migrations.Migration):
    dependencies = [
        ("hotel", "0009_day_ends_in_the_morning"),
    ]

    operations = [migrations.RunPython(end_earlier, migrations.RunPython.noop)]
