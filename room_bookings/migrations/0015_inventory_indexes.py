import django.contrib.postgres.operations
from django.db import migrations, models

import common.migrations

# Parties that were taken in before there was a rule keep the beds that they have.
COUNT_EXTRA_BEDS = """
    UPDATE room_bookings_roombooking booking
    SET extra_beds = party.guests - room_type.max_occupancy
    FROM (
        SELECT id, greatest(adults + children, 1 + (
            SELECT count(*) FROM room_bookings_bookingguest guest WHERE guest.booking_id = counted.id
        )) AS guests
        FROM room_bookings_roombooking counted
        WHERE status IN ('CONFIRMED', 'IN_HOUSE', 'PENDING_APPROVAL')
    ) party
    JOIN room_bookings_roombooking stay ON stay.id = party.id
    LEFT JOIN rooms_room room ON room.id = stay.assigned_room_id
    JOIN rooms_roomtype room_type ON room_type.id = coalesce(room.room_type_id, stay.room_type_id)
    WHERE booking.id = party.id AND party.guests > room_type.max_occupancy
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('room_bookings', '0014_inventory'),
    ]

    operations = [
        django.contrib.postgres.operations.ValidateConstraint(
            model_name='bookingchange',
            name='booking_change_action_known',
        ),
        common.migrations.AddIndexConcurrently(
            model_name='roombooking',
            index=models.Index(condition=models.Q(('assigned_room__isnull', False), ('status__in', ('CONFIRMED', 'IN_HOUSE'))), fields=['assigned_room', 'check_out'], name='room_booking_holding'),
        ),
        migrations.RunSQL(COUNT_EXTRA_BEDS, migrations.RunSQL.noop),
    ]
