import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("room_bookings", "0020_room_claims"),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='roombooking',
            trigger=pgtrigger.compiler.Trigger(name='room_booking_claims_kept', sql=common.triggers.RuleSql(func="\n            -- In a DELETE all of NEW is null, and nothing is claimed by it.\n            IF TG_OP <> 'INSERT' THEN\n                DELETE FROM room_bookings_roomclaim WHERE booking_id = OLD.id\n                    AND (booking_id, hotel_id, room_id, nights) NOT IN (SELECT NEW.id, NEW.hotel_id, NEW.assigned_room_id, daterange(least(NEW.check_in, NEW.arrived_on), NEW.check_out, CASE WHEN NEW.check_in = NEW.check_out THEN '[]' ELSE '[)' END) WHERE NEW.status IN ('CONFIRMED', 'IN_HOUSE') AND NEW.assigned_room_id IS NOT NULL);\n            END IF;\n            INSERT INTO room_bookings_roomclaim (booking_id, hotel_id, room_id, nights) SELECT NEW.id, NEW.hotel_id, NEW.assigned_room_id, daterange(least(NEW.check_in, NEW.arrived_on), NEW.check_out, CASE WHEN NEW.check_in = NEW.check_out THEN '[]' ELSE '[)' END) WHERE NEW.status IN ('CONFIRMED', 'IN_HOUSE') AND NEW.assigned_room_id IS NOT NULL;\n            RETURN NULL;\n        ", hash='842f6ff1bf8e51dd29ee9926afd024225ebc1636', operation='INSERT OR UPDATE OF "id", "hotel_id", "status", "assigned_room_id", "check_in", "check_out", "arrived_on" OR DELETE', pgid='pgtrigger_room_booking_claims_kept_322bd', table='room_bookings_roombooking', when='AFTER')),
        ),
    ]
