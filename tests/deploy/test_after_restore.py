"""After a restore, clients that have seen newer events than the backup reload everything and then miss nothing."""

from datetime import timedelta

import pytest
from django.core.management import call_command

from common import clock
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications import relay
from notifications.mail import queue_booking_mail
from notifications.models import ROOMS, STREAMS, BookingMail, EventStream, MailKind, RealtimeEvent
from notifications.retention import reset_after_restore
from operations.invariants import violations
from tests.conftest import url
from tests.factories import NewRoomFactory, booking_in
from tests.http import assert_error
from tests.notifications.event_log import log_of, numbers, unnumbered

pytestmark = pytest.mark.django_db


def ask(api, staff, *, channel: str = "rooms", **query: int):
    return api(staff).get(url(staff, "events/"), {"channel": channel, **query})


def last_number(hotel, stream: str = ROOMS) -> int:
    return EventStream.objects.get(hotel=hotel, name=stream).last_seq


@pytest.mark.parametrize("seen", [0, 430, 437, 1_000_000])
def test_clients_with_any_seq_are_told_to_reload(api, hotel, manager, seen):
    log_of(hotel, 430)
    reset_after_restore()
    answer = ask(api, manager, after=seen)
    assert_error(answer, 410, "EVENTS_EXPIRED")
    assert answer.json()["details"]["latest_seq"] == last_number(hotel)
    assert ask(api, manager, after=last_number(hotel)).json() == {"results": [], "latest_seq": last_number(hotel)}


def test_the_next_event_is_a_gap_for_every_client(api, hotel, manager):
    log_of(hotel, 430)
    reset_after_restore()
    jumped = last_number(hotel)
    set_room_status(room=NewRoomFactory(hotel=hotel), to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    relay.number(EventStream.objects.get(hotel=hotel, name=ROOMS))
    assert numbers(hotel) == [jumped + 1]
    assert jumped > 1_000_000_000_000
    assert_error(ask(api, manager, after=437), 410, "EVENTS_EXPIRED")
    assert violations() == []


def test_streams_without_an_event_in_the_backup_also_jump(api, hotel, manager):
    reset_after_restore()
    assert EventStream.objects.filter(hotel=hotel).count() == 3
    assert_error(ask(api, manager, channel="room-bookings", after=3), 410, "EVENTS_EXPIRED")


def test_waiting_events_are_sent_in_order_with_new_numbers(hotel):
    log_of(hotel, 3)
    log_of(hotel, 1, sent_at=None, parked_at=clock.now(), last_error="413")
    waiting = [*log_of(hotel, 2, sent_at=None), unnumbered(hotel)]
    assert reset_after_restore() == 3
    jumped = last_number(hotel)
    relay.number(EventStream.objects.get(hotel=hotel, name=ROOMS))
    assert numbers(hotel) == [jumped + 1, jumped + 2, jumped + 3]
    assert list(RealtimeEvent.objects.order_by("seq").values_list("event_id", flat=True)) == [
        event.event_id for event in waiting
    ]
    assert violations() == []


def test_a_second_restore_of_the_same_backup_jumps_further(hotel):
    reset_after_restore()
    first = [last_number(hotel, stream) for stream in STREAMS]
    log_of(hotel, 50)
    EventStream.objects.update(last_seq=0)
    with clock.set_to(clock.now() + timedelta(hours=1)):
        reset_after_restore()
    assert all(last_number(hotel, stream) > before + 50 for stream, before in zip(STREAMS, first, strict=True))


def test_the_command_reports_what_is_waiting(hotel, capsys):
    unnumbered(hotel)
    call_command("after_restore")
    assert capsys.readouterr().out == "Every client will reload everything. Still to be sent: 1 events, 0 e-mails.\n"


def test_waiting_mails_can_be_dropped_with_a_note_for_the_front_desk(hotel, capsys):
    room_type = NewRoomFactory(hotel=hotel).room_type
    booking = booking_in("CONFIRMED", hotel=hotel, room_type=room_type, primary_email="ada@example.com")
    queue_booking_mail(booking, MailKind.CONFIRMATION)
    call_command("after_restore")
    assert "1 e-mails." in capsys.readouterr().out
    call_command("after_restore", "--drop-mails")
    assert capsys.readouterr().out.startswith("Dropped: 1 e-mails.\nEvery client")
    [mail] = BookingMail.objects.all()
    assert (mail.state, mail.reason) == (
        "DROPPED",
        "It was queued in a restored backup: it may have been sent since.",
    )
    assert violations() == []
