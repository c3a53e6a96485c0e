"""``python -m tools.harness.two_hotels``: creates two small hotels with their staff in an empty database.

They have what otherwise takes time: booking requests awaiting approval, one of them past its deadline, and the event of
its creation past its retention.
"""

import os
from datetime import timedelta

import django

SLUG, OTHER = "harbour", "hillside"
# By the guest's name: made how many days ago.
REQUESTS = {"Late": 10, "Confirmed": 0, "Approved": 0, "Declined": 0, "Kept": 0}


def make(slug: str, password: str) -> None:
    """A hotel with a room type, a few rooms, and a staff member of every role."""
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    from common import clock
    from hotel import calendar, rights
    from hotel.models import Hotel, Staff
    from operations.replay.hotels import HotelSpec, make_rooms, make_staff
    from room_bookings.services.create import create_booking
    from rooms.services import create_block_reasons

    spec = HotelSpec(slug, f"Hotel {slug.title()}", "+353 1 555 0400", "Europe/Dublin", {"A": 8})
    hotel = Hotel.objects.create(
        slug=spec.slug,
        name=spec.name,
        phone=spec.phone,
        timezone=spec.timezone,
        approval_cutoff_day_offset=1,  # or today's requests would expire during a run that passes the cutoff
    )
    create_block_reasons(hotel)
    make_staff(hotel, password=password)
    user = get_user_model().objects.create_user(f"{slug}-frontoffice", password=password, first_name="Ines")
    Staff.objects.create(
        user=user, hotel=hotel, role=Group.objects.get(name=rights.FRONT_OFFICE_MANAGER), department="front_office"
    )
    get_user_model().objects.create_user(f"{slug}-nobody", password=password)
    room_type = make_rooms(hotel, spec).types["A"]
    now, arrival = clock.now(), calendar.business_date(hotel) + timedelta(days=40)
    for name, days in REQUESTS.items():
        with clock.set_to(now - timedelta(days=days)):
            create_booking(
                hotel=hotel,
                staff=None,
                room_type_id=room_type.pk,
                check_in=arrival,
                check_out=arrival + timedelta(days=2),
                primary_first_name=name,
                primary_last_name="Request",
                needs_approval=True,
            )


def main() -> None:
    """Create both; the password is the demo's."""
    django.setup()
    from django.db import transaction

    with transaction.atomic():
        for slug in (SLUG, OTHER):
            make(slug, os.environ["DEMO_PASSWORD"])


if __name__ == "__main__":
    main()
