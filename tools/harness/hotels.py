"""``python -m tools.harness.hotels FILE``: creates the drill's hotels in an empty database."""

import json
import sys
from pathlib import Path

import django

SLUGS = ("north", "south", "harbour")
ROOMS = {"A": 24, "B": 16}  # by type


def make(slug: str) -> dict[str, object]:
    """A hotel with its rooms and staff; returns what its clients need: tokens and room ids."""
    from knox.models import AuthToken

    from hotel.models import Hotel
    from operations.replay.hotels import HotelSpec, make_rooms, make_staff

    spec = HotelSpec(slug, f"Hotel {slug.title()}", "+353 1 555 0300", "Europe/Dublin", ROOMS)
    hotel = Hotel.objects.create(slug=spec.slug, name=spec.name, phone=spec.phone, timezone=spec.timezone)
    staff = make_staff(hotel)
    rooms = [room for of_type in make_rooms(hotel, spec).rooms.values() for room in of_type]
    tokens = {name: AuthToken.objects.create(staff[name].user)[1] for name in ("manager", "frontdesk")}
    return {"slug": slug, "tokens": tokens, "rooms": sorted(room.pk for room in rooms)}


def main(file: Path) -> None:
    """Create all hotels and write ``file``."""
    django.setup()
    from django.db import transaction

    with transaction.atomic():
        hotels = [make(slug) for slug in SLUGS]
    file.write_text(json.dumps(hotels))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
