"""``python -m tools.drill_cluster.hotels FILE``: creates the drill's hotels, where it is early afternoon now."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from tools.harness import hotels


def main(file: Path) -> None:
    """Create all hotels and write ``file``: as the harness does, with each room's type and the time zone."""
    hotels.main(file)
    from knox.models import AuthToken

    from hotel.models import Hotel
    from operations.replay.hotels import make_staff
    from rooms.models import Room

    # Guests can check in; the signs in the names of these zones are reversed.
    offset = 14 - datetime.now(UTC).hour
    offset += 24 if offset < -12 else 0
    Hotel.objects.update(timezone=f"Etc/GMT{-offset:+d}")
    made = json.loads(file.read_text())
    for hotel in made:
        row = Hotel.objects.get(slug=hotel["slug"])
        staff = make_staff(row, password=os.environ["DEMO_PASSWORD"])
        # A new password has signed everyone out.
        hotel["tokens"] = {name: AuthToken.objects.create(staff[name].user)[1] for name in hotel["tokens"]}
        hotel["timezone"] = row.timezone
        hotel["types"] = dict(Room.objects.filter(hotel__slug=hotel["slug"]).values_list("pk", "room_type_id"))
    file.write_text(json.dumps(made))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
