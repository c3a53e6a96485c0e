import common.triggers
import django.contrib.postgres.operations
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

BLOCK = {
    "db_index": False,
    "null": True,
    "on_delete": django.db.models.deletion.PROTECT,
    "related_name": "claims",
    "to": "rooms.roomblock",
}


class Migration(migrations.Migration):
    """A claim is of a booking or of a block."""

    lint_allows = {"ban-drop-not-null": "triggers alone write claims, and nothing of the previous release reads them"}

    dependencies = [
        ('room_bookings', '0025_check_out_undone_checked'),
        ('rooms', '0021_credits_checked'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='roomclaim',
            name='room_claim_once',
        ),
        migrations.SeparateDatabaseAndState(
            [migrations.AddField('roomclaim', 'block', models.ForeignKey(db_constraint=False, **BLOCK))],
            [migrations.AddField('roomclaim', 'block', models.ForeignKey(**BLOCK))],
        ),
        migrations.RunSQL(
            """
            ALTER TABLE room_bookings_roomclaim
            ADD CONSTRAINT room_bookings_roomclaim_block_id_fk_rooms_roomblock_id
            FOREIGN KEY (block_id) REFERENCES rooms_roomblock (id) DEFERRABLE INITIALLY DEFERRED NOT VALID
            """,
            "ALTER TABLE room_bookings_roomclaim DROP CONSTRAINT room_bookings_roomclaim_block_id_fk_rooms_roomblock_id",
        ),
        migrations.AlterField(
            model_name='roomclaim',
            name='booking',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='claims', to='room_bookings.roombooking'),
        ),
        django.contrib.postgres.operations.AddConstraintNotValid(
            model_name='roomclaim',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('block', None), ('booking__isnull', False)), models.Q(('block__isnull', False), ('booking', None)), _connector='OR'), name='room_claim_has_one_owner'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomclaim',
            trigger=pgtrigger.compiler.Trigger(name='room_claim_once', sql=common.triggers.RuleSql(func='\n            IF EXISTS (\n                SELECT FROM room_bookings_roomclaim known WHERE known.room_id = NEW.room_id AND known.nights = NEW.nights AND known.hotel_id IS NOT DISTINCT FROM NEW.hotel_id AND known.booking_id IS NOT DISTINCT FROM NEW.booking_id AND known.block_id IS NOT DISTINCT FROM NEW.block_id\n            ) THEN\n                RETURN NULL;\n            END IF;\n            RETURN NEW;\n        ', hash='f9eed809cf42b0b425d6e37f91a9c02f519ac1b6', operation='INSERT', pgid='pgtrigger_room_claim_once_d9dce', table='room_bookings_roomclaim', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomclaim',
            trigger=pgtrigger.compiler.Trigger(name='room_claim_of_block', sql=common.triggers.RuleSql(constraint='CONSTRAINT', func="\n            IF EXISTS (SELECT block_id, hotel_id, room_id, nights FROM room_bookings_roomclaim WHERE block_id IN (OLD.block_id, NEW.block_id) EXCEPT SELECT owner.id, owner.hotel_id, owner.room_id, daterange(owner.first_night, owner.free_from) FROM rooms_roomblock owner WHERE owner.status IN ('PLANNED', 'ACTIVE') AND owner.kind <> 'OUT_OF_SERVICE' AND owner.id IN (OLD.block_id, NEW.block_id)) OR EXISTS (SELECT owner.id, owner.hotel_id, owner.room_id, daterange(owner.first_night, owner.free_from) FROM rooms_roomblock owner WHERE owner.status IN ('PLANNED', 'ACTIVE') AND owner.kind <> 'OUT_OF_SERVICE' AND owner.id IN (OLD.block_id, NEW.block_id) EXCEPT SELECT block_id, hotel_id, room_id, nights FROM room_bookings_roomclaim WHERE block_id IN (OLD.block_id, NEW.block_id)) THEN\n                RAISE EXCEPTION 'a room claim changes only together with what it belongs to' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_claim_of_block', TABLE = TG_TABLE_NAME;\n            END IF;\n            RETURN NULL;\n        ", hash='3653349955d68e87e96d18c6e494eebf424a952a', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_room_claim_of_block_e0263', table='room_bookings_roomclaim', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
