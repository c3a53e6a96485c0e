"""Database constraints: foreign keys, counts that cannot be negative, and rules that no service could break.

Triggers are disabled here to test each constraint alone; they are tested with housekeeping and bookings.
"""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F

from hotel.models import Hotel, IdempotentAnswer, Staff
from housekeeping.models import HousekeepingTask, RoomStatusEvent, StayoverDay
from notifications.models import BookingMail, EventStream, RealtimeEvent, Timeline
from room_bookings.models import (
    BookingAction,
    BookingChange,
    BookingExtension,
    BookingGuest,
    Overbooking,
    OverstayIncident,
    PaymentRetry,
    ReferenceCounter,
    RoomBooking,
    RoomClaim,
)
from rooms.models import BlockReason, Room, RoomBlock, RoomBlockEvent, RoomType
from tests.factories import BookingFactory, HotelFactory, RoomTypeFactory, StaffFactory, TaskFactory, room_in
from tests.refusals import check_deferred_constraints

pytestmark = pytest.mark.django_db

OURS = {"hotel", "housekeeping", "notifications", "room_bookings", "rooms"}
MODELS = [model for model in apps.get_models() if model._meta.app_label in OURS and model._meta.managed]
NOBODY = 2_000_000_000
NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)


@pytest.fixture
def one_of_each():
    """A row in each of our tables, with all triggers disabled."""
    room = room_in("CHECKOUT_DIRTY")
    booking = BookingFactory(hotel=room.hotel, room_type=room.room_type, assigned_room=room)
    staff = StaffFactory(hotel=room.hotel)
    TaskFactory(room=room)
    of_booking = {"hotel": room.hotel, "booking": booking}
    BookingGuest.objects.create(booking=booking, first_name="Ada", last_name="Lovelace")
    BookingChange.objects.create(**of_booking, action=BookingAction.EDITED, to_status=booking.status)
    BookingExtension.objects.create(
        **of_booking, old_check_out=booking.check_in, new_check_out=booking.check_out, created_at=NOW
    )
    OverstayIncident.objects.create(**of_booking, expected_checkout_date=booking.check_out)
    PaymentRetry.objects.create(booking=booking, failures=1, last_error="Unclear", next_try_at=NOW)
    nights = {"first_night": booking.check_in, "free_from": booking.check_out}
    Overbooking.objects.create(hotel=room.hotel, room_type=room.room_type, staff=staff, **nights)
    IdempotentAnswer.objects.create(staff=staff, key="a key", fingerprint="f")
    EventStream.objects.create(hotel=room.hotel, name="rooms")
    Timeline.objects.create(system=1, number=1)
    BookingMail.objects.create(**of_booking, kind="CONFIRMATION", to_address="ada@example.com")
    StayoverDay.objects.create(hotel=room.hotel, day=NOW)
    ReferenceCounter.objects.get_or_create(year=2026, defaults={"last_number": 1})
    reason = BlockReason.objects.create(hotel=room.hotel, code="REPAIR", label="Repair")
    block = RoomBlock.objects.create(
        hotel=room.hotel,
        room=room,
        kind="OUT_OF_SERVICE",
        reason=reason,
        first_night="2026-07-10",
        free_from="2026-07-12",
        return_status="READY_FOR_GUEST",
        status="PLANNED",
        created_by=staff,
    )
    RoomBlockEvent.objects.create(
        hotel=room.hotel,
        block=block,
        version=1,
        action="CREATED",
        to_status="PLANNED",
        to_free=block.free_from,
        to_return_status=block.return_status,
    )
    check_deferred_constraints()
    with connection.cursor() as cursor:
        for model in MODELS:
            assert model.objects.exists(), model
            cursor.execute(f"ALTER TABLE {model._meta.db_table} DISABLE TRIGGER USER")
    return room.hotel


def refusal(model, **fields) -> str:
    """The name of the constraint that rejects ``fields`` in a row of the model, or PostgreSQL's message."""
    row = model.objects.order_by("pk").last()
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        model.objects.filter(pk=row.pk).update(**fields)
        check_deferred_constraints()
    return refused.value.__cause__.diag.constraint_name


def fields_of(model, *kinds):
    return [field for field in model._meta.concrete_fields if isinstance(field, kinds)]


@pytest.mark.parametrize("model", [model for model in MODELS if fields_of(model, models.ForeignKey)])
def test_every_foreign_key_references_a_row(one_of_each, model):
    for field in fields_of(model, models.ForeignKey):
        other_owner = {"booking": None} if field.name == "block" and model is RoomClaim else {}
        name = refusal(model, **{field.attname: NOBODY}, **other_owner)
        assert "_fk_" in name, field
        assert name.startswith(f"{model._meta.db_table}_{field.column}"[:20])


def test_counts_cannot_be_negative(one_of_each):
    for model in MODELS:
        for field in fields_of(model, models.PositiveIntegerField, models.PositiveSmallIntegerField):
            assert refusal(model, **{field.attname: -1}), field


@pytest.mark.parametrize(
    ("rule", "model", "fields"),
    [
        ("hotel_slug_fits_channels", Hotel, {"slug": "private-house"}),
        ("hotel_slug_fits_channels", Hotel, {"slug": "presence-house"}),
        ("hotel_approval_offset_0_or_1", Hotel, {"approval_cutoff_day_offset": 2}),
        ("hotel_has_a_name", Hotel, {"name": " "}),
        ("room_type_has_name_and_code", RoomType, {"name": ""}),
        ("room_type_has_name_and_code", RoomType, {"code": "\t"}),
        ("booking_guest_has_a_name", BookingGuest, {"first_name": ""}),
        ("booking_guest_has_a_name", BookingGuest, {"last_name": "  "}),
        ("hotel_day_ends_by_noon", Hotel, {"late_arrival_cutoff": "12:01", "early_checkin_from": "13:00"}),
        ("hotel_day_ends_before_arrivals", Hotel, {"late_arrival_cutoff": "08:01"}),
        ("hotel_day_ends_before_arrivals", Hotel, {"early_checkin_from": "01:59"}),
        ("staff_department_known", Staff, {"department": "spa"}),
        ("task_type_known", HousekeepingTask, {"task_type": "POLISH"}),
        ("task_priority_known", HousekeepingTask, {"priority": "SOON"}),
        ("task_status_agrees_with_times", HousekeepingTask, {"status": "DONE"}),
        ("task_status_agrees_with_times", HousekeepingTask, {"started_at": NOW}),
        ("task_status_agrees_with_times", HousekeepingTask, {"status": "FORGOTTEN"}),
        ("room_status_event_version_from_1", RoomStatusEvent, {"version": 0}),
        ("room_status_event_status_known", RoomStatusEvent, {"to_status": "SPARKLING"}),
        ("room_status_event_status_known", RoomStatusEvent, {"from_status": "SPARKLING"}),
        ("room_status_event_is_a_change", RoomStatusEvent, {"from_status": "CHECKOUT_DIRTY"}),
        ("room_status_event_names_who", RoomStatusEvent, {"source": "HOUSEKEEPING", "changed_by": None}),
        ("realtime_event_numbered_before_sent", RealtimeEvent, {"seq": None, "sent_at": NOW}),
        ("realtime_event_numbered_before_sent", RealtimeEvent, {"seq": None, "parked_at": NOW}),
        ("overbooking_has_a_night", Overbooking, {"free_from": F("first_night")}),
        ("overbooking_of_a_room", Overbooking, {"rooms": 0}),
        ("room_claim_has_a_night", RoomClaim, {"nights": "empty"}),
        ("room_claim_has_one_owner", RoomClaim, {"booking": None}),
        ("booking_mail_kind_known", BookingMail, {"kind": "GREETING"}),
        ("booking_mail_state_known", BookingMail, {"state": "LOST", "settled_at": NOW}),
        ("booking_mail_open_or_settled", BookingMail, {"settled_at": NOW}),
        ("booking_mail_open_or_settled", BookingMail, {"state": "SENT"}),
        ("booking_mail_sending_iff_claimed", BookingMail, {"state": "SENDING"}),
        ("booking_mail_sending_iff_claimed", BookingMail, {"claimed_at": NOW}),
        ("booking_mail_failure_has_reason", BookingMail, {"state": "FAILED", "settled_at": NOW}),
        ("booking_mail_failure_has_reason", BookingMail, {"state": "DROPPED", "settled_at": NOW}),
        ("room_in_maintenance_has_flag", Room, {"room_status": "MAINTENANCE_REQUIRED"}),
        ("block_reason_has_code_and_label", BlockReason, {"label": " "}),
        ("block_reason_kind_known", BlockReason, {"default_kind": "CLOSED"}),
        ("block_reason_return_status_known", BlockReason, {"default_return_status": "OCCUPIED"}),
        ("room_block_kind_known", RoomBlock, {"kind": "CLOSED"}),
        ("room_block_return_status_known", RoomBlock, {"return_status": "OUT_OF_ORDER"}),
        ("room_block_has_a_night", RoomBlock, {"free_from": F("first_night")}),
        ("room_block_status_agrees_with_times", RoomBlock, {"status": "ACTIVE"}),
        ("room_block_status_agrees_with_times", RoomBlock, {"status": "COMPLETED", "ended_at": NOW}),
        ("room_block_status_agrees_with_times", RoomBlock, {"status": "CANCELLED"}),
        ("room_block_status_agrees_with_times", RoomBlock, {"status": "FORGOTTEN"}),
        ("room_block_has_reason", RoomBlock, {"reason": None}),
        ("room_block_has_reason", RoomBlock, {"by_status": True, "status": "ACTIVE", "started_at": NOW}),
        ("room_block_event_version_from_1", RoomBlockEvent, {"version": 0}),
        ("room_block_event_action_known", RoomBlockEvent, {"action": "FORGOTTEN"}),
        ("room_type_price_not_negative", RoomType, {"starting_price_from": -1}),
        ("room_type_currency_is_a_code", RoomType, {"currency": "eu"}),
        ("room_type_sleeps_someone", RoomType, {"max_occupancy": 0}),
        ("room_type_credits_not_negative", RoomType, {"credits": -1}),
    ],
)
def test_constraints_on_one_row(one_of_each, rule, model, fields):
    assert refusal(model, **fields) == rule


def test_an_overbooking_has_one_cause(one_of_each):
    booking, room = RoomBooking.objects.get(hotel=one_of_each), Room.objects.get(hotel=one_of_each)
    assert refusal(Overbooking, booking=booking, room=room) == "overbooking_has_one_cause"


@pytest.mark.parametrize(
    ("rule", "source"),
    [("room_status_event_override_has_note", "MANAGER_OVERRIDE"), ("room_status_event_source_known", "GOSSIP")],
)
def test_constraints_on_a_status_event(one_of_each, rule, source):
    member = Staff.objects.get(hotel=one_of_each)
    assert refusal(RoomStatusEvent, source=source, changed_by=member, note="") == rule


def twin(model, **fields):
    """A copy of a row of the model with other ``fields``."""
    row = model.objects.order_by("pk").last()
    row.pk = None
    for name, value in fields.items():
        setattr(row, name, value)
    row.save(force_insert=True)
    return row


EVENT = UUID(int=1)


@pytest.mark.parametrize(
    ("rule", "model", "fields"),
    [
        ("hotel_hotel_slug_key", Hotel, {}),
        ("hotel_staff_user_id_key", Staff, {}),
        ("idempotent_answer_key_unique", IdempotentAnswer, {}),
        ("event_stream_unique", EventStream, {}),
        ("notifications_realtimeevent_event_id_key", RealtimeEvent, {"seq": None}),
        ("realtime_event_seq_unique", RealtimeEvent, {"event_id": EVENT}),
        ("booking_mail_one_queued", BookingMail, {}),
        ("room_status_event_version_unique", RoomStatusEvent, {}),
        ("room_number_unique", Room, {}),
        ("room_type_code_unique", RoomType, {"name": "Another"}),
        ("room_type_name_unique", RoomType, {"code": "Z"}),
        ("block_reason_code_unique", BlockReason, {}),
        ("room_block_out_of_service_once", RoomBlock, {}),
        ("room_block_event_version_unique", RoomBlockEvent, {}),
    ],
)
def test_unique_constraints(one_of_each, rule, model, fields):
    RealtimeEvent.objects.filter(pk=RealtimeEvent.objects.order_by("pk").last().pk).update(seq=1)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        twin(model, **fields)
    assert refused.value.__cause__.diag.constraint_name == rule


def test_only_one_mail_of_a_booking_is_being_sent(one_of_each):
    BookingMail.objects.update(state="SENDING", claimed_at=NOW)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        twin(BookingMail)
    assert refused.value.__cause__.diag.constraint_name == "booking_mail_one_being_sent"


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        ("staff_one_hotel", StaffFactory),
        ("room_type_one_hotel", RoomTypeFactory),
        ("task_one_hotel", TaskFactory),
        ("block_reason_one_hotel", lambda: BlockReason.objects.create(hotel=HotelFactory(), code="X", label="X")),
    ],
)
def test_rows_cannot_move_to_another_hotel(rule, make):
    row = make()
    check_deferred_constraints()
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        type(row).objects.filter(pk=row.pk).update(hotel=HotelFactory())
        check_deferred_constraints()
    assert refused.value.__cause__.diag.constraint_name == rule
