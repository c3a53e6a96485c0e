import common.clock
import common.triggers
import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0014_dry_run'),
        ('room_bookings', '0001_initial'),  # installs btree_gist
        ('rooms', '0008_dry_run_of_rooms'),
    ]

    operations = [
        migrations.CreateModel(
            name='BlockReason',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hotel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='block_reasons', to='hotel.hotel')),
                ('code', models.CharField(help_text='Such as REPAIR; clients send it.', max_length=30)),
                ('label', models.CharField(max_length=100)),
                ('default_kind', models.CharField(choices=[('OUT_OF_ORDER', 'Out of order'), ('OUT_OF_SERVICE', 'Out of service'), ('OUT_OF_INVENTORY', 'Out of inventory'), ('HOUSE_USE', 'House use')], default='OUT_OF_ORDER', max_length=16)),
                ('default_return_status', models.CharField(choices=[('CHECKOUT_DIRTY', 'Checkout dirty'), ('CLEANED_UNINSPECTED', 'Cleaned uninspected'), ('READY_FOR_GUEST', 'Ready for guest')], default='CHECKOUT_DIRTY', max_length=24)),
                ('is_active', models.BooleanField(default=True, help_text='Untick a reason that is no longer used.')),
            ],
            options={
                'ordering': ['hotel', 'label', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='RoomBlock',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hotel.staff')),
                ('hotel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='room_blocks', to='hotel.hotel')),
                ('reason', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rooms.blockreason')),
                ('room', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='blocks', to='rooms.room')),
                ('kind', models.CharField(choices=[('OUT_OF_ORDER', 'Out of order'), ('OUT_OF_SERVICE', 'Out of service'), ('OUT_OF_INVENTORY', 'Out of inventory'), ('HOUSE_USE', 'House use')], max_length=16)),
                ('remarks', models.TextField(blank=True)),
                ('first_night', models.DateField()),
                ('free_from', models.DateField(blank=True, help_text='The day after the last night; blank: until completed.', null=True)),
                ('return_status', models.CharField(choices=[('CHECKOUT_DIRTY', 'Checkout dirty'), ('CLEANED_UNINSPECTED', 'Cleaned uninspected'), ('READY_FOR_GUEST', 'Ready for guest')], max_length=24)),
                ('status', models.CharField(choices=[('PLANNED', 'Planned'), ('ACTIVE', 'Active'), ('COMPLETED', 'Completed'), ('CANCELLED', 'Cancelled')], max_length=10)),
                ('by_status', models.BooleanField(default=False, help_text='Made by the status Out of order, and completed by the next status.')),
                ('version', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(default=common.clock.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('delayed_at', models.DateTimeField(blank=True, help_text='When it was due, but a guest was in the room.', null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_on', models.DateField(blank=True, help_text='The business date on which it was completed.', null=True)),
            ],
            options={
                'ordering': ['-first_night', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='RoomBlockEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('block', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='events', to='rooms.roomblock')),
                ('hotel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hotel.hotel')),
                ('staff', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hotel.staff')),
                ('version', models.PositiveIntegerField(help_text='1, 2, 3 … within the block.')),
                ('action', models.CharField(choices=[('CREATED', 'Created'), ('STARTED', 'Started'), ('EXTENDED', 'New end'), ('DELAYED', 'Waiting for the guest to leave'), ('COMPLETED', 'Completed'), ('CANCELLED', 'Cancelled')], max_length=10)),
                ('from_status', models.CharField(blank=True, choices=[('PLANNED', 'Planned'), ('ACTIVE', 'Active'), ('COMPLETED', 'Completed'), ('CANCELLED', 'Cancelled')], max_length=10)),
                ('to_status', models.CharField(choices=[('PLANNED', 'Planned'), ('ACTIVE', 'Active'), ('COMPLETED', 'Completed'), ('CANCELLED', 'Cancelled')], max_length=10)),
                ('from_free', models.DateField(blank=True, null=True, verbose_name='free from, before')),
                ('to_free', models.DateField(blank=True, null=True, verbose_name='free from')),
                ('from_return_status', models.CharField(blank=True, choices=[('CHECKOUT_DIRTY', 'Checkout dirty'), ('CLEANED_UNINSPECTED', 'Cleaned uninspected'), ('READY_FOR_GUEST', 'Ready for guest')], max_length=24, verbose_name='return status, before')),
                ('to_return_status', models.CharField(choices=[('CHECKOUT_DIRTY', 'Checkout dirty'), ('CLEANED_UNINSPECTED', 'Cleaned uninspected'), ('READY_FOR_GUEST', 'Ready for guest')], max_length=24, verbose_name='return status')),
                ('note', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=common.clock.now)),
            ],
            options={
                'ordering': ['block', 'version'],
            },
        ),
        migrations.AlterModelOptions(
            name='room',
            options={'ordering': ['hotel', 'room_number'], 'permissions': [('inventory_create', 'rooms: inventory create'), ('inventory_update', 'rooms: inventory update'), ('inventory_delete', 'rooms: inventory delete'), ('type_manage', 'rooms: type manage'), ('inspect', 'rooms: inspect'), ('maintenance_flag', 'rooms: maintenance flag'), ('maintenance_clear', 'rooms: maintenance clear'), ('status_transition', 'rooms: status transition'), ('checkout_bulk', 'rooms: checkout bulk'), ('checkout_destructive', 'rooms: checkout destructive'), ('block_manage', 'rooms: block manage'), ('block_inventory', 'rooms: block inventory')]},
        ),
        migrations.AddConstraint(
            model_name='blockreason',
            constraint=models.UniqueConstraint(fields=('hotel', 'code'), name='block_reason_code_unique'),
        ),
        migrations.AddConstraint(
            model_name='blockreason',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '\\S'), ('label__regex', '\\S')), name='block_reason_has_code_and_label'),
        ),
        migrations.AddConstraint(
            model_name='blockreason',
            constraint=models.CheckConstraint(condition=models.Q(('default_kind__in', ['OUT_OF_ORDER', 'OUT_OF_SERVICE', 'OUT_OF_INVENTORY', 'HOUSE_USE'])), name='block_reason_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='blockreason',
            constraint=models.CheckConstraint(condition=models.Q(('default_return_status__in', ('CHECKOUT_DIRTY', 'CLEANED_UNINSPECTED', 'READY_FOR_GUEST'))), name='block_reason_return_status_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='blockreason',
            trigger=pgtrigger.compiler.Trigger(name='block_reason_one_hotel', sql=common.triggers.RuleSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NEW.hotel_id <> OLD.hotel_id THEN RAISE EXCEPTION 'a block reason never moves to another hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'block_reason_one_hotel', TABLE = TG_TABLE_NAME; END IF;\nRETURN NULL;", hash='47e016443926b41e8cf93d142235784adedd2342', operation='INSERT OR UPDATE OF "hotel_id"', pgid='pgtrigger_block_reason_one_hotel_d3c9e', table='rooms_blockreason', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='roomblock',
            index=models.Index(fields=['hotel', '-first_night', '-id'], name='room_block_by_date'),
        ),
        migrations.AddIndex(
            model_name='roomblock',
            index=models.Index(condition=models.Q(('status__in', ('PLANNED', 'ACTIVE'))), fields=['room', 'first_night'], name='room_block_live'),
        ),
        migrations.AddIndex(
            model_name='roomblock',
            index=models.Index(condition=models.Q(('status__in', ('PLANNED', 'ACTIVE'))), fields=['hotel', 'first_night'], name='room_block_due'),
        ),
        migrations.AddConstraint(
            model_name='roomblock',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['OUT_OF_ORDER', 'OUT_OF_SERVICE', 'OUT_OF_INVENTORY', 'HOUSE_USE'])), name='room_block_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='roomblock',
            constraint=models.CheckConstraint(condition=models.Q(('return_status__in', ('CHECKOUT_DIRTY', 'CLEANED_UNINSPECTED', 'READY_FOR_GUEST'))), name='room_block_return_status_known'),
        ),
        migrations.AddConstraint(
            model_name='roomblock',
            constraint=models.CheckConstraint(condition=models.Q(('free_from__isnull', True), ('free_from__gt', models.F('first_night')), _connector='OR'), name='room_block_has_a_night'),
        ),
        migrations.AddConstraint(
            model_name='roomblock',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('ended_on', None), ('started_at', None), ('status', 'PLANNED')), models.Q(('ended_at', None), ('ended_on', None), ('started_at__isnull', False), ('status', 'ACTIVE')), models.Q(('ended_at__isnull', False), ('ended_on__isnull', False), ('started_at__isnull', False), ('status', 'COMPLETED')), models.Q(('ended_at__isnull', False), ('ended_on', None), ('started_at', None), ('status', 'CANCELLED')), _connector='OR'), name='room_block_status_agrees_with_times'),
        ),
        migrations.AddConstraint(
            model_name='roomblock',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('by_status', False), ('reason__isnull', False)), models.Q(('by_status', True), ('kind', 'OUT_OF_ORDER'), ('status__in', ['ACTIVE', 'COMPLETED'])), _connector='OR'), name='room_block_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='roomblock',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('kind', 'OUT_OF_SERVICE'), ('status__in', ('PLANNED', 'ACTIVE'))), expressions=[(models.F('room'), '='), (models.Func(models.F('first_night'), models.F('free_from'), function='daterange', output_field=django.contrib.postgres.fields.ranges.DateRangeField()), '&&')], name='room_block_out_of_service_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblock',
            trigger=pgtrigger.compiler.Trigger(name='room_block_recorded', sql=common.triggers.RuleSql(constraint='CONSTRAINT', declare='DECLARE now_at RECORD; newest RECORD;', func="\n            IF TG_OP = 'UPDATE' THEN\n                IF NEW IS NOT DISTINCT FROM OLD THEN\n                    RETURN NULL;\n                END IF;\n                IF NEW.id IS DISTINCT FROM OLD.id OR NEW.hotel_id IS DISTINCT FROM OLD.hotel_id OR NEW.room_id IS DISTINCT FROM OLD.room_id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.reason_id IS DISTINCT FROM OLD.reason_id OR NEW.first_night IS DISTINCT FROM OLD.first_night OR NEW.by_status IS DISTINCT FROM OLD.by_status OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN\n                    RAISE EXCEPTION 'room, kind, reason and first night of a block never change' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_recorded', TABLE = TG_TABLE_NAME;\n                END IF;\n                IF OLD.status NOT IN ('PLANNED', 'ACTIVE') THEN\n                    RAISE EXCEPTION 'a block that is over never changes' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_recorded', TABLE = TG_TABLE_NAME;\n                END IF;\n                IF NEW.version <> OLD.version + 1 OR NOT EXISTS (\n                    SELECT 1 FROM rooms_roomblockevent event\n                    WHERE event.block_id = NEW.id AND event.version = NEW.version\n                      AND event.from_status = OLD.status AND event.to_status = NEW.status\n                      AND event.from_free IS NOT DISTINCT FROM OLD.free_from\n                      AND event.to_free IS NOT DISTINCT FROM NEW.free_from\n                      AND event.from_return_status = OLD.return_status AND event.to_return_status = NEW.return_status\n                ) THEN\n                    RAISE EXCEPTION 'a block changes only together with its history row' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_recorded', TABLE = TG_TABLE_NAME;\n                END IF;\n                RETURN NULL;\n            END IF;\n            -- An inserted block is new, or restored from a backup together with its history.\n            SELECT * INTO now_at FROM rooms_roomblock WHERE id = NEW.id;\n            IF NOT FOUND THEN\n                RETURN NULL;\n            END IF;\n            SELECT * INTO newest FROM rooms_roomblockevent event\n            WHERE event.block_id = NEW.id ORDER BY event.version DESC LIMIT 1;\n            IF NOT FOUND OR newest.version <> now_at.version OR newest.to_status <> now_at.status\n               OR newest.to_free IS DISTINCT FROM now_at.free_from\n               OR newest.to_return_status <> now_at.return_status THEN\n                RAISE EXCEPTION 'a block changes only together with its history row' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_recorded', TABLE = TG_TABLE_NAME;\n            END IF;\n            RETURN NULL;\n        ", hash='19da92b43c870b6572204cdd0dcc275c2a1b556a', operation='INSERT OR UPDATE', pgid='pgtrigger_room_block_recorded_718f2', table='rooms_roomblock', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblock',
            trigger=pgtrigger.compiler.Trigger(name='room_block_closes_room', sql=common.triggers.RuleSql(constraint='CONSTRAINT', declare='DECLARE is_closed BOOLEAN;', func="\n            SELECT EXISTS (\n                SELECT 1 FROM rooms_roomblock block\n                WHERE block.room_id = room.id AND block.status = 'ACTIVE' AND block.kind IN ('OUT_OF_ORDER', 'OUT_OF_INVENTORY')\n            ) <> (room.room_status = 'OUT_OF_ORDER') INTO is_closed\n            FROM rooms_room room WHERE room.id = NEW.room_id;\n            IF is_closed THEN\n                RAISE EXCEPTION 'a room is out of order exactly while a block that closes it is active' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_closes_room', TABLE = TG_TABLE_NAME;\n            END IF;\n            RETURN NULL;\n        ", hash='652503cd24e3f4d223fdbcbd306d64298c605deb', operation='INSERT OR UPDATE OF "status"', pgid='pgtrigger_room_block_closes_room_a44be', table='rooms_roomblock', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblock',
            trigger=pgtrigger.compiler.Trigger(name='room_block_never_deleted', sql=common.triggers.RuleSql(func="RAISE EXCEPTION 'room blocks are never deleted' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_never_deleted', TABLE = TG_TABLE_NAME;", hash='55e737ae9355ceaeaf004a26875f9eb38102972f', operation='DELETE', pgid='pgtrigger_room_block_never_deleted_5be2d', table='rooms_roomblock', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblock',
            trigger=pgtrigger.compiler.Trigger(name='room_block_one_hotel', sql=common.triggers.RuleSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NEW.hotel_id <> OLD.hotel_id THEN RAISE EXCEPTION 'a room block never moves to another hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_one_hotel', TABLE = TG_TABLE_NAME; END IF;\nIF NEW.room_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rooms_room linked WHERE linked.id = NEW.room_id AND linked.hotel_id = NEW.hotel_id) THEN RAISE EXCEPTION 'room belongs to another hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_one_hotel', TABLE = TG_TABLE_NAME; END IF;\nIF NEW.reason_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rooms_blockreason linked WHERE linked.id = NEW.reason_id AND linked.hotel_id = NEW.hotel_id) THEN RAISE EXCEPTION 'reason belongs to another hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_one_hotel', TABLE = TG_TABLE_NAME; END IF;\nIF NEW.created_by_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM hotel_staff linked WHERE linked.id = NEW.created_by_id AND linked.hotel_id = NEW.hotel_id) THEN RAISE EXCEPTION 'created_by belongs to another hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_one_hotel', TABLE = TG_TABLE_NAME; END IF;\nRETURN NULL;", hash='79049fe5d914ce770d789ac0c566f9bda244651f', operation='INSERT OR UPDATE OF "hotel_id", "room_id", "reason_id", "created_by_id"', pgid='pgtrigger_room_block_one_hotel_3cb7d', table='rooms_roomblock', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblock',
            trigger=pgtrigger.compiler.Trigger(name='room_block_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='189e96b1493404f9f48673bdf0eb256194922f8c', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_room_block_in_dry_run_f20f1', table='rooms_roomblock', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='roomblockevent',
            constraint=models.UniqueConstraint(fields=('block', 'version'), name='room_block_event_version_unique'),
        ),
        migrations.AddConstraint(
            model_name='roomblockevent',
            constraint=models.CheckConstraint(condition=models.Q(('version__gte', 1)), name='room_block_event_version_from_1'),
        ),
        migrations.AddConstraint(
            model_name='roomblockevent',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['CREATED', 'STARTED', 'EXTENDED', 'DELAYED', 'COMPLETED', 'CANCELLED'])), name='room_block_event_action_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblockevent',
            trigger=pgtrigger.compiler.Trigger(name='room_block_event_chained', sql=common.triggers.RuleSql(constraint='CONSTRAINT', declare='DECLARE block RECORD;', func="\n            SELECT * INTO block FROM rooms_roomblock WHERE id = NEW.block_id;\n            IF block.hotel_id <> NEW.hotel_id THEN\n                RAISE EXCEPTION 'a history row belongs to its block''s hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_event_chained', TABLE = TG_TABLE_NAME;\n            END IF;\n            IF NEW.version > block.version\n               OR (NEW.version = block.version AND (NEW.to_status <> block.status\n                   OR NEW.to_free IS DISTINCT FROM block.free_from OR NEW.to_return_status <> block.return_status))\n            THEN\n                RAISE EXCEPTION 'a history row tells of a change that was made' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_event_chained', TABLE = TG_TABLE_NAME;\n            END IF;\n            IF NEW.version = 1 AND NEW.from_status <> '' OR NEW.version > 1 AND NOT EXISTS (\n                SELECT 1 FROM rooms_roomblockevent earlier\n                WHERE earlier.block_id = NEW.block_id AND earlier.version = NEW.version - 1\n                  AND earlier.to_status = NEW.from_status\n            ) THEN\n                RAISE EXCEPTION 'a history row starts where the one before it ended' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_event_chained', TABLE = TG_TABLE_NAME;\n            END IF;\n            RETURN NULL;\n        ", hash='392248fa916a94705550e692867386c0f8dd8605', operation='INSERT', pgid='pgtrigger_room_block_event_chained_80fc7', table='rooms_roomblockevent', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblockevent',
            trigger=pgtrigger.compiler.Trigger(name='room_block_event_never_changed', sql=common.triggers.RuleSql(func="RAISE EXCEPTION 'room block events are never changed or deleted' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_event_never_changed', TABLE = TG_TABLE_NAME;", hash='f13b46bd3cf7de7fb7d345d0350f5e477bd5eae6', operation='UPDATE OR DELETE', pgid='pgtrigger_room_block_event_never_changed_0ccfe', table='rooms_roomblockevent', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='roomblockevent',
            trigger=pgtrigger.compiler.Trigger(name='room_block_event_one_hotel', sql=common.triggers.RuleSql(constraint='CONSTRAINT', func="IF TG_OP = 'UPDATE' AND NEW.hotel_id <> OLD.hotel_id THEN RAISE EXCEPTION 'a room block event never moves to another hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_event_one_hotel', TABLE = TG_TABLE_NAME; END IF;\nIF NEW.staff_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM hotel_staff linked WHERE linked.id = NEW.staff_id AND linked.hotel_id = NEW.hotel_id) THEN RAISE EXCEPTION 'staff belongs to another hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_block_event_one_hotel', TABLE = TG_TABLE_NAME; END IF;\nRETURN NULL;", hash='5a894e7bdcda04fe6e16eff37d8a52f061169ca7', operation='INSERT OR UPDATE OF "hotel_id", "staff_id"', pgid='pgtrigger_room_block_event_one_hotel_77b18', table='rooms_roomblockevent', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
