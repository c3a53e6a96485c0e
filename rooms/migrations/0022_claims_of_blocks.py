import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('room_bookings', '0027_claims_of_blocks_checked'),
        ('rooms', '0021_credits_checked'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='roomblock',
            trigger=pgtrigger.compiler.Trigger(name='room_block_claims_kept', sql=common.triggers.RuleSql(func="\n            -- In a DELETE all of NEW is null, and nothing is claimed by it.\n            IF TG_OP <> 'INSERT' THEN\n                DELETE FROM room_bookings_roomclaim WHERE block_id = OLD.id\n                    AND (block_id, hotel_id, room_id, nights) NOT IN (SELECT NEW.id, NEW.hotel_id, NEW.room_id, daterange(NEW.first_night, NEW.free_from) WHERE NEW.status IN ('PLANNED', 'ACTIVE') AND NEW.kind <> 'OUT_OF_SERVICE');\n            END IF;\n            INSERT INTO room_bookings_roomclaim (block_id, hotel_id, room_id, nights) SELECT NEW.id, NEW.hotel_id, NEW.room_id, daterange(NEW.first_night, NEW.free_from) WHERE NEW.status IN ('PLANNED', 'ACTIVE') AND NEW.kind <> 'OUT_OF_SERVICE';\n            RETURN NULL;\n        ", hash='0e7b9f617006319c56fbaca12ed0493ec159e91b', operation='INSERT OR UPDATE OF "id", "hotel_id", "status", "kind", "room_id", "first_night", "free_from" OR DELETE', pgid='pgtrigger_room_block_claims_kept_b3414', table='rooms_roomblock', when='AFTER')),
        ),
    ]
