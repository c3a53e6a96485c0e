"""What happens to a room when its guest leaves it: check-out, move, cancellation or undone check-in."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from hotel.models import Staff
from housekeeping.blocks import start_waiting_blocks
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
    """Set vacated rooms to CHECKOUT_DIRTY and open a turnover task for each; the bookings are already updated.

    Stayover tasks are cancelled, and all other tasks for the guests if they leave the hotel (``for_good``). Maintenance
    flags stay. Blocks that waited for the guests to leave begin. ``moved_into`` are rooms whose status changes in the
    same call. The passed rooms get the new values; a constant number of statements.
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
    start_waiting_blocks(rooms)


def not_before_arrival(booking: RoomBooking, moment: datetime) -> datetime:
    """``moment``, or the check-in time if that is later because of a clock that ran ahead."""
    return max(moment, booking.checked_in_at or moment)
