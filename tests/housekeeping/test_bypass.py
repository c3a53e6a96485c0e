"""The database rejects every way around the status writer, with an error that names the constraint."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from common import clock
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.services import set_room_status
from rooms.models import Room, RoomStatus
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, StaffFactory, room_in
from tests.refusals import Refused, check_deferred_constraints

pytestmark = pytest.mark.django_db


UNAUDITED = ("room_status_audited", "a room status changes only together with its audit row")
NOT_MADE = ("audit_row_chained", "an audit row tells of a change that was made")
BROKEN_CHAIN = ("audit_row_chained", "an audit row starts where the one before it ended")
CHANGED = ("audit_row_never_changed", "room status events are never changed or deleted")


def event(room: Room, version: int, from_status: str, to_status: str, **fields) -> RoomStatusEvent:
    return RoomStatusEvent.objects.create(
        **{
            "hotel": room.hotel,
            "room": room,
            "version": version,
            "from_status": from_status,
            "to_status": to_status,
            "source": Source.SYSTEM,
            **fields,
        }
    )


def test_update_without_audit_row():
    room = NewRoomFactory()
    with Refused(*UNAUDITED):
        Room.objects.filter(pk=room.pk).update(room_status="CHECKOUT_DIRTY")


def test_update_with_a_version_but_without_audit_row():
    room = NewRoomFactory()
    with Refused(*UNAUDITED):
        Room.objects.filter(pk=room.pk).update(room_status="CHECKOUT_DIRTY", status_version=1)


def test_save_without_audit_row():
    room = NewRoomFactory()
    room.room_status = RoomStatus.CHECKOUT_DIRTY
    with Refused(*UNAUDITED):
        room.save()


def test_stale_save_that_reverts_a_status():
    room = NewRoomFactory()
    stale = Room.objects.get(pk=room.pk)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    with Refused(*UNAUDITED):
        stale.save()


def test_raw_sql():
    room = NewRoomFactory()
    with Refused(*UNAUDITED), connection.cursor() as cursor:
        cursor.execute("UPDATE rooms_room SET room_status = 'CHECKOUT_DIRTY' WHERE id = %s", [room.pk])


def test_raw_sql_that_asks_pgtrigger_to_ignore_its_triggers():
    room = NewRoomFactory()
    with Refused(*UNAUDITED), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pgtrigger.ignore', '{rooms_room:room_status_audited}', true)")
        cursor.execute("UPDATE rooms_room SET room_status = 'CHECKOUT_DIRTY' WHERE id = %s", [room.pk])


def test_raw_sql_with_an_empty_search_path_as_in_a_restore():
    room = NewRoomFactory()
    with Refused(*UNAUDITED), connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = ''")
        cursor.execute("UPDATE public.rooms_room SET room_status = 'CHECKOUT_DIRTY' WHERE id = %s", [room.pk])


def test_a_version_change_without_a_status_change():
    room = NewRoomFactory()
    with Refused(*UNAUDITED):
        Room.objects.filter(pk=room.pk).update(status_version=1)


def test_an_audit_row_of_another_change():
    room = NewRoomFactory()
    with Refused(*UNAUDITED):
        Room.objects.filter(pk=room.pk).update(room_status="CHECKOUT_DIRTY", status_version=1)
        event(room, 1, "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS")


def test_a_forged_audit_row():
    room = NewRoomFactory()
    with Refused(*NOT_MADE):
        event(room, 1, "READY_FOR_GUEST", "CHECKOUT_DIRTY")


def test_a_forged_audit_row_in_the_middle_of_a_history():
    room = room_in("CLEANED_UNINSPECTED")
    with pytest.raises(IntegrityError, match="room_status_event_version_unique"), transaction.atomic():
        event(room, 1, "READY_FOR_GUEST", "MAINTENANCE_REQUIRED")


def test_a_gap_in_the_chain():
    room = NewRoomFactory()
    with Refused(*UNAUDITED):
        Room.objects.filter(pk=room.pk).update(room_status="CHECKOUT_DIRTY", status_version=2)
        event(room, 2, "READY_FOR_GUEST", "CHECKOUT_DIRTY")


def test_a_chain_that_does_not_start_where_the_last_change_ended():
    room = room_in("CHECKOUT_DIRTY")
    with Refused(*BROKEN_CHAIN):
        event(room, 2, "MAINTENANCE_REQUIRED", "CLEANING_IN_PROGRESS")
        Room.objects.filter(pk=room.pk).update(room_status="CLEANING_IN_PROGRESS", status_version=2)


def test_an_edited_audit_row():
    room = room_in("CHECKOUT_DIRTY")
    with Refused(*CHANGED):
        RoomStatusEvent.objects.filter(room=room).update(note="it was not me")


def test_an_audit_row_whose_author_is_swapped():
    room = room_in("CHECKOUT_DIRTY")
    with Refused(*CHANGED):
        RoomStatusEvent.objects.filter(room=room).update(changed_by=StaffFactory(hotel=room.hotel))


def test_a_deleted_audit_row():
    room = room_in("CHECKOUT_DIRTY")
    with Refused(*CHANGED):
        RoomStatusEvent.objects.filter(room=room).delete()


def test_an_audit_row_of_another_hotel():
    room = room_in("CHECKOUT_DIRTY")
    with Refused("audit_row_chained", "an audit row belongs to its room's hotel"):
        Room.objects.filter(pk=room.pk).update(room_status="CLEANING_IN_PROGRESS", status_version=2)
        event(room, 2, "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", hotel=HotelFactory())


def test_an_audit_row_that_names_another_hotels_staff():
    room = room_in("CHECKOUT_DIRTY")
    with Refused("audit_row_one_hotel", "changed_by belongs to another hotel"):
        Room.objects.filter(pk=room.pk).update(room_status="CLEANING_IN_PROGRESS", status_version=2)
        event(room, 2, "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", changed_by=StaffFactory())


def test_a_new_room_in_a_status_that_needs_a_history():
    with Refused(*UNAUDITED):
        NewRoomFactory(room_status="OUT_OF_ORDER")


def test_a_new_room_with_a_version():
    with Refused(*UNAUDITED):
        NewRoomFactory(status_version=3)


def test_a_new_room_may_be_dirty():
    room = NewRoomFactory(room_status="CHECKOUT_DIRTY")
    check_deferred_constraints()
    assert set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", source=Source.SYSTEM).status_version == 1


def test_a_room_deleted_and_recreated_over_its_history():
    room = room_in("CHECKOUT_DIRTY")
    with Refused(*UNAUDITED), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM rooms_room WHERE id = %s", [room.pk])
        cursor.execute("DELETE FROM rooms_room WHERE id = %s", [room.pk])
        cursor.execute("UPDATE kept SET status_version = 0, room_status = 'READY_FOR_GUEST'")
        cursor.execute("INSERT INTO rooms_room SELECT * FROM kept")


def test_a_changed_room_id():
    one, other = room_in("CHECKOUT_DIRTY"), NewRoomFactory()
    with Refused(*UNAUDITED):
        for old, new in ((one.pk, -1), (other.pk, one.pk), (-1, other.pk)):
            Room.objects.filter(pk=old).update(id=new)


def test_a_room_moved_to_another_hotel_with_its_history():
    room, elsewhere = room_in("CHECKOUT_DIRTY"), RoomTypeFactory()
    with Refused(*UNAUDITED), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM rooms_room WHERE id = %s", [room.pk])
        cursor.execute("DELETE FROM rooms_room WHERE id = %s", [room.pk])
        cursor.execute("UPDATE kept SET hotel_id = %s, room_type_id = %s", [elsewhere.hotel_id, elsewhere.pk])
        cursor.execute("INSERT INTO rooms_room SELECT * FROM kept")


def test_a_temporary_table_that_shadows_the_audit_log():
    room = NewRoomFactory()
    with Refused(*UNAUDITED), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE housekeeping_roomstatusevent "
            "(room_id bigint, version int, from_status text, to_status text) ON COMMIT DROP"
        )
        cursor.execute(
            "INSERT INTO pg_temp.housekeeping_roomstatusevent VALUES (%s, 1, 'READY_FOR_GUEST', 'OUT_OF_ORDER')",
            [room.pk],
        )
        cursor.execute(
            "UPDATE rooms_room SET room_status = 'OUT_OF_ORDER', status_version = 1 WHERE id = %s", [room.pk]
        )


def test_a_room_with_history_is_not_deleted():
    room = room_in("CHECKOUT_DIRTY")
    with pytest.raises(ProtectedError):
        room.delete()
    with pytest.raises(IntegrityError, match="violates foreign key constraint"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM rooms_room WHERE id = %s", [room.pk])
        check_deferred_constraints()
    assert Room.objects.filter(pk=room.pk).exists()


def test_staff_in_the_audit_log_are_not_deleted():
    room = NewRoomFactory()
    member = StaffFactory(hotel=room.hotel)
    set_room_status(room=room, to_status="MAINTENANCE_REQUIRED", staff=member)
    with pytest.raises(ProtectedError):
        member.delete()
    with pytest.raises(ProtectedError):
        member.user.delete()


def test_several_changes_in_one_transaction_with_a_rolled_back_savepoint():
    room = NewRoomFactory()
    with transaction.atomic():
        set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
        savepoint = transaction.savepoint()
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", source=Source.SYSTEM)
        transaction.savepoint_rollback(savepoint)
        set_room_status(room=room, to_status="CLEANED_UNINSPECTED", source=Source.SYSTEM)
    check_deferred_constraints()
    versions = RoomStatusEvent.objects.filter(room=room).order_by("version").values_list("version", "to_status")
    assert list(versions) == [(1, "CHECKOUT_DIRTY"), (2, "CLEANED_UNINSPECTED")]


@pytest.mark.django_db(transaction=True)
def test_the_refusal_comes_at_commit():
    room = NewRoomFactory()
    with pytest.raises(IntegrityError, match="a room status changes only together with its audit row"):
        Room.objects.filter(pk=room.pk).update(room_status="CHECKOUT_DIRTY", status_changed_at=clock.now())
    room.refresh_from_db()
    assert room.room_status == "READY_FOR_GUEST"


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("room_status_known", {"room_status": "SPARKLING"}),
        ("room_fault_has_flag_and_priority", {"maintenance_required": True}),
        ("room_fault_has_flag_and_priority", {"maintenance_notes": "a note without a flag"}),
        ("room_maintenance_priority_known", {"maintenance_required": True, "maintenance_priority": "SOON"}),
        ("room_ready_has_no_fault", {"maintenance_required": True, "maintenance_priority": "LOW"}),
        *(("room_number_readable", {"room_number": number}) for number in ("", "0", "000", "12/3", "1,2", "-1")),
    ],
)
def test_rules_about_a_room(rule, fields):
    room = NewRoomFactory()
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        Room.objects.filter(pk=room.pk).update(**fields)
    assert refusal.value.__cause__.diag.constraint_name == rule


def test_a_room_never_moves_to_another_hotel():
    room = NewRoomFactory()
    with Refused("room_one_hotel", "a room never moves to another hotel"):
        Room.objects.filter(pk=room.pk).update(hotel=HotelFactory())
