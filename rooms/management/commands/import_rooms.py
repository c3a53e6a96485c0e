"""``manage.py import_rooms``: creates and changes a hotel's room types and rooms from CSV files."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hotel.models import Hotel
from rooms.imports import import_files


class Command(BaseCommand):
    help = "Create and change a hotel's room types and rooms from CSV files, all or nothing; list every line's error."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("hotel", help="The hotel's slug.")
        parser.add_argument(
            "files", nargs="+", type=Path, metavar="file", help="CSV: room types, rooms, or both files."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")

    def handle(self, *args: Any, **options: Any) -> None:
        hotel = Hotel.objects.filter(slug=options["hotel"]).first()
        if hotel is None:
            raise CommandError(f"There is no hotel with the slug {options['hotel']}.")
        try:
            files = [(path.name, path.read_bytes()) for path in options["files"]]
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None
        done = import_files(hotel, files, staff=None, dry_run=options["dry_run"])
        if done.errors:
            self.stderr.write("\n".join(done.errors))
            raise CommandError("Nothing was imported.")
        self.stdout.write(f"{done}{' (dry run: nothing was imported)' if options['dry_run'] else ''}")
