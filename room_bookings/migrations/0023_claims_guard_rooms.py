from django.db import migrations

# Every booking that holds a room has its claim; otherwise two could hold it for one night from now on.
CHECK = """
    DO $$ BEGIN
        IF EXISTS (
            SELECT FROM room_bookings_roombooking booking
            WHERE status IN ('CONFIRMED', 'IN_HOUSE') AND assigned_room_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM room_bookings_roomclaim claim
                WHERE claim.booking_id = booking.id AND claim.room_id = booking.assigned_room_id
            )
        ) THEN
            RAISE EXCEPTION 'a booking that holds a room has no claim: run migration room_bookings.0022 again';
        END IF;
    END $$
"""


class Migration(migrations.Migration):
    """The claims' exclusion constraint replaces that of the bookings."""

    lint_allows = {"ban-drop-constraint": "room_claim_no_overlap guards the same nights, of the previous release too"}

    dependencies = [
        ("room_bookings", "0022_claims_of_bookings"),
    ]

    operations = [
        migrations.RunSQL(CHECK, migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name="roombooking",
            name="room_booking_no_overlap",
        ),
    ]
