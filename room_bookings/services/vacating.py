"""What happens to a room whose guest has just left it, by whichever way."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from hotel.models import Staff
from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from housekeeping.task_following import end_stays
from housekeeping.task_services import open_turnover_tasks
from room_bookings.models import RoomBooking
from rooms.models import Room, RoomStatus


def vacate(
    left: Sequence[tuple[RoomBooking, Room]],
    *,
    staff: Staff | None,
    note: str,
    for_good: bool,
    moved_into: Iterable[tuple[Room, str]] = (),
) -> None:
    """The rooms that the bookings have left (the bookings say so already) go to CHECKOUT_DIRTY and get a turnover task.

    Their stayovers are cancelled; when the guests left the hotel (``for_good``), so is what was to be done for them.
    A maintenance flag stays. ``moved_into`` names rooms whose status changes in the same breath. The rooms passed in
    carry the new values; a constant number of statements.
    """
    rooms = [room for _, room in left]
    changes = [(room, str(RoomStatus.CHECKOUT_DIRTY)) for room in rooms]
    set_room_statuses(
        changes=[*changes, *moved_into], staff=staff, source=Source.SYSTEM, note=note, all_or_nothing=True
    )
    devices = [room.pk for room in rooms if room.guest_fcm_token]
    if devices:
        Room.objects.filter(pk__in=devices).update(guest_fcm_token="")
        for room in rooms:
            room.guest_fcm_token = ""
    end_stays(left, for_good=for_good)
    open_turnover_tasks([(room, booking) for booking, room in left])


def not_before_arrival(booking: RoomBooking, moment: datetime) -> datetime:
    """``moment``, or the check-in, if a clock that was ahead has written it: nobody leaves before they came."""
    return max(moment, booking.checked_in_at or moment)
