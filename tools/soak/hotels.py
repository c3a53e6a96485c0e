"""``python -m tools.soak.hotels FILE``: creates the soak's hotels, and writes their staff's tokens and room types."""

import json
import sys
from datetime import timedelta
from pathlib import Path

from tools.soak.process import install

ZONES = {
    "liffey": "Europe/Dublin",
    "hudson": "America/New_York",
    "lagoon": "Australia/Lord_Howe",
    "shannon": "Europe/Dublin",
    "harlem": "America/New_York",
}
ROOMS = {"A": 12, "D": 8, "E": 6}  # by type
OVERBOOKS = ("hudson",)


def make(slug: str) -> dict[str, object]:
    """A hotel with its rooms and staff; returns what its clients need."""
    from knox.models import AuthToken

    from hotel.models import Hotel
    from operations.replay.hotels import HotelSpec, make_rooms, make_staff

    spec = HotelSpec(slug, f"Hotel {slug.title()}", "+353 1 555 0300", ZONES[slug], ROOMS)
    hotel = Hotel.objects.create(
        slug=slug, name=spec.name, phone=spec.phone, timezone=spec.timezone, allow_overbooking=slug in OVERBOOKS
    )
    staff = make_staff(hotel)
    opened = make_rooms(hotel, spec)
    tokens = {
        name: AuthToken.objects.create(member.user, expiry=timedelta(days=3650))[1] for name, member in staff.items()
    }
    return {
        "slug": slug,
        "timezone": spec.timezone,
        "tokens": tokens,
        "types": {code: room_type.pk for code, room_type in opened.types.items()},
        "staff": {name: member.pk for name, member in staff.items()},
    }


def main(file: Path) -> None:
    """Create all hotels and write ``file``."""
    install()
    import django

    django.setup()
    from django.db import transaction

    with transaction.atomic():
        hotels = [make(slug) for slug in ZONES]
    file.write_text(json.dumps(hotels))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
