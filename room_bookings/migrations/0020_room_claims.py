import common.triggers
import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.functions
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('hotel', '0014_dry_run'),
        ('room_bookings', '0019_upgrades'),
        ('rooms', '0008_dry_run_of_rooms'),
    ]

    operations = [
        migrations.CreateModel(
            name='RoomClaim',
            fields=[
                ('id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), editable=False, primary_key=True, serialize=False)),
                ('booking', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='claims', to='room_bookings.roombooking')),
                ('room', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='claims', to='rooms.room')),
                ('hotel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hotel.hotel')),
                ('nights', django.contrib.postgres.fields.ranges.DateRangeField(help_text='From the first night to before the day on which the room is free again.')),
            ],
        ),
        migrations.AddConstraint(
            model_name='roomclaim',
            constraint=models.CheckConstraint(condition=models.Q(('nights__isempty', False)), name='room_claim_has_a_night'),
        ),
        migrations.AddConstraint(
            model_name='roomclaim',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(expressions=[('room', '='), ('nights', '&&')], name='room_claim_no_overlap'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomclaim',
            trigger=pgtrigger.compiler.Trigger(name='room_claim_once', sql=common.triggers.RuleSql(func='\n            IF EXISTS (\n                SELECT FROM room_bookings_roomclaim known WHERE known.room_id = NEW.room_id AND known.nights = NEW.nights AND known.hotel_id IS NOT DISTINCT FROM NEW.hotel_id AND known.booking_id IS NOT DISTINCT FROM NEW.booking_id\n            ) THEN\n                RETURN NULL;\n            END IF;\n            RETURN NEW;\n        ', hash='ec8aeded2dfd1470478521701a6a009582ed6f91', operation='INSERT', pgid='pgtrigger_room_claim_once_d9dce', table='room_bookings_roomclaim', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomclaim',
            trigger=pgtrigger.compiler.Trigger(name='room_claim_of_booking', sql=common.triggers.RuleSql(constraint='CONSTRAINT', func="\n            IF EXISTS (SELECT booking_id, hotel_id, room_id, nights FROM room_bookings_roomclaim WHERE booking_id IN (OLD.booking_id, NEW.booking_id) EXCEPT SELECT owner.id, owner.hotel_id, owner.assigned_room_id, daterange(least(owner.check_in, owner.arrived_on), owner.check_out, CASE WHEN owner.check_in = owner.check_out THEN '[]' ELSE '[)' END) FROM room_bookings_roombooking owner WHERE owner.status IN ('CONFIRMED', 'IN_HOUSE') AND owner.assigned_room_id IS NOT NULL AND owner.id IN (OLD.booking_id, NEW.booking_id)) OR EXISTS (SELECT owner.id, owner.hotel_id, owner.assigned_room_id, daterange(least(owner.check_in, owner.arrived_on), owner.check_out, CASE WHEN owner.check_in = owner.check_out THEN '[]' ELSE '[)' END) FROM room_bookings_roombooking owner WHERE owner.status IN ('CONFIRMED', 'IN_HOUSE') AND owner.assigned_room_id IS NOT NULL AND owner.id IN (OLD.booking_id, NEW.booking_id) EXCEPT SELECT booking_id, hotel_id, room_id, nights FROM room_bookings_roomclaim WHERE booking_id IN (OLD.booking_id, NEW.booking_id)) THEN\n                RAISE EXCEPTION 'a room claim changes only together with what it belongs to' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_claim_of_booking', TABLE = TG_TABLE_NAME;\n            END IF;\n            RETURN NULL;\n        ", hash='c50453a8f5de1d2f2b4f734b6ce79e2a406dbcbb', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_room_claim_of_booking_ce316', table='room_bookings_roomclaim', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
