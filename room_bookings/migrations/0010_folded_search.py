from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Func, TextField, Value

from common.migrations import AddIndexConcurrently
from common.search import Folded


def spaced(*columns):
    parts = [part for column in columns for part in (Value(" "), F(column) if isinstance(column, str) else column)][1:]
    return Func(*parts, arg_joiner=" || ", template="(%(expressions)s)", output_field=TextField())


def digits(phone):
    punctuation = Value(" +-()./,\u00a0\u2010\u2011\u2013")
    return Func(F(phone), punctuation, Value(""), function="translate", output_field=TextField())


class Migration(migrations.Migration):
    """The list of bookings is searched and sorted without accents; the indexes for that take the old ones' place."""

    atomic = False

    dependencies = [
        ("hotel", "0008_folded"),
        ("room_bookings", "0009_composed"),
    ]

    operations = [
        AddIndexConcurrently(
            "roombooking",
            models.Index(
                F("hotel"),
                Folded(spaced("primary_first_name", "primary_last_name")),
                F("id"),
                name="room_booking_by_name",
            ),
        ),
        AddIndexConcurrently(
            "roombooking",
            GinIndex(
                OpClass(
                    Folded(
                        spaced(
                            "booking_id",
                            "confirmation_number",
                            "primary_first_name",
                            "primary_last_name",
                            "primary_email",
                            "primary_phone",
                            digits("primary_phone"),
                            "booker_first_name",
                            "booker_last_name",
                            "booker_company",
                            "booker_email",
                            "booker_phone",
                            digits("booker_phone"),
                        )
                    ),
                    name="gin_trgm_ops",
                ),
                name="room_booking_words",
            ),
        ),
        AddIndexConcurrently(
            "bookingguest",
            GinIndex(
                OpClass(
                    Folded(spaced("first_name", "last_name", "email", "phone", digits("phone"))), name="gin_trgm_ops"
                ),
                name="booking_guest_words",
            ),
        ),
        RemoveIndexConcurrently("roombooking", "room_booking_by_guest"),
        RemoveIndexConcurrently("roombooking", "room_booking_search"),
        RemoveIndexConcurrently("bookingguest", "booking_guest_search"),
    ]
