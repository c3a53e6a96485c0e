import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0009_blocks'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='room',
            trigger=pgtrigger.compiler.Trigger(name='room_out_of_order_blocked', sql=common.triggers.RuleSql(constraint='CONSTRAINT', declare='DECLARE room RECORD; today DATE;', func="\n            IF TG_OP = 'UPDATE' THEN\n                IF OLD.room_status <> 'OUT_OF_ORDER' AND NEW.room_status <> 'OUT_OF_ORDER' THEN\n                    RETURN NULL;\n                END IF;\n            END IF;\n            SELECT * INTO room FROM rooms_room WHERE id = NEW.id;\n            IF NOT FOUND OR (room.room_status = 'OUT_OF_ORDER')\n               = EXISTS (SELECT 1 FROM rooms_roomblock block WHERE block.room_id = room.id AND block.status = 'ACTIVE' AND block.kind IN ('OUT_OF_ORDER', 'OUT_OF_INVENTORY')) THEN\n                RETURN NULL;\n            END IF;\n            SELECT (now() AT TIME ZONE hotel.timezone - hotel.late_arrival_cutoff::interval)::date INTO today\n            FROM hotel_hotel hotel WHERE hotel.id = room.hotel_id;\n            IF room.room_status = 'OUT_OF_ORDER' THEN\n                -- One statement, so that the block never is without its history.\n                WITH made AS (\n                    INSERT INTO rooms_roomblock (hotel_id, room_id, kind, remarks, first_night, return_status, status,\n                        by_status, version, created_at, started_at)\n                    VALUES (room.hotel_id, room.id, 'OUT_OF_ORDER', '', today, 'CHECKOUT_DIRTY', 'ACTIVE',\n                        true, 1, now(), now())\n                    RETURNING *\n                )\n                INSERT INTO rooms_roomblockevent (hotel_id, block_id, version, action, from_status, to_status,\n                    from_return_status, to_return_status, note, created_at)\n                SELECT hotel_id, id, version, 'CREATED', '', status, '', return_status, '', now() FROM made;\n                RETURN NULL;\n            END IF;\n            IF EXISTS (SELECT 1 FROM rooms_roomblock block WHERE block.room_id = room.id AND block.status = 'ACTIVE' AND block.kind IN ('OUT_OF_ORDER', 'OUT_OF_INVENTORY') AND NOT by_status) THEN\n                RAISE EXCEPTION 'an active block keeps the room out of order' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_out_of_order_blocked', TABLE = TG_TABLE_NAME;\n            END IF;\n            WITH made AS (\n                UPDATE rooms_roomblock block\n                SET status = 'COMPLETED', version = version + 1, ended_at = now(), ended_on = today\n                WHERE block.room_id = room.id AND block.status = 'ACTIVE' AND block.kind IN ('OUT_OF_ORDER', 'OUT_OF_INVENTORY')\n                RETURNING *\n            )\n            INSERT INTO rooms_roomblockevent (hotel_id, block_id, version, action, from_status, to_status,\n                from_free, to_free, from_return_status, to_return_status, note, created_at)\n            SELECT hotel_id, id, version, 'COMPLETED', 'ACTIVE', status,\n                free_from, free_from, return_status, return_status, '', now() FROM made;\n            RETURN NULL;\n        ", hash='3d1f4a01bce685fa54cdf723a19cae6d44143a4f', operation='INSERT OR UPDATE OF "room_status"', pgid='pgtrigger_room_out_of_order_blocked_3bda6', table='rooms_room', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
