"""The booking search: words, telephone numbers in any format, and room numbers."""

import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from django.db.models import Q, QuerySet

from common import room_numbers
from common.text import nfc
from hotel.models import Hotel
from room_bookings.models import COMPANION_TEXT, PHONE_PUNCTUATION, SEARCHED_TEXT, BookingGuest, RoomBooking

LONGEST = 100  # characters of a search; each word adds to its cost
DIGITS = "0123456789"
# The last digits of a telephone number: the same with a country code, with a leading zero, or with neither.
LOCAL_DIGITS = 8
# Fewer digits are searched like any other word, anywhere in the number.
FEWEST_DIGITS = 5


def mentioning(text: str, hotel: Hotel | None = None) -> Q:
    """Bookings of ``hotel`` (``None``: of any) that contain every word of ``text``, ignoring case and accents.

    Words that look like a telephone number match it in any format: ``086 555 0177`` finds ``+353865550177``, and vice
    versa. A number also finds the bookings with that room number.
    """
    condition = Q()
    for found in _Search(hotel).found(nfc(text)[:LONGEST].split()):
        condition &= Q(pk__in=found)
    return condition


class _Search:
    """Finds the ids of one hotel's bookings, or of all. Each part of a union names the hotel: PostgreSQL does not look
    outside a union to see that few bookings are wanted, and a common word is in too many."""

    def __init__(self, hotel: Hotel | None) -> None:
        self._bookings, self._guests = RoomBooking.objects.order_by(), BookingGuest.objects.order_by()
        if hotel is not None:
            self._bookings = self._bookings.filter(hotel=hotel)
            self._guests = self._guests.filter(booking__hotel=hotel)

    def found(self, words: list[str]) -> Iterator[QuerySet[Any]]:
        """For each word, the ids of the bookings with it; adjacent words that may be a telephone number count as
        one."""
        for may_be_number, group in groupby(words, _may_be_number):
            run = list(group)
            with_words = [self._with_word(word) for word in dict.fromkeys(run)]
            digits = "".join(character for word in run for character in _plain(word) if character in DIGITS)
            number = digits.lstrip("0")[-LOCAL_DIGITS:]
            if not may_be_number or len(number) < FEWEST_DIGITS:
                yield from with_words
            elif len(run) > 1 and (len(digits) > LOCAL_DIGITS or run[0].startswith("+")):
                yield self._with_text(number)
            else:  # it may also be a reference, or two separate numbers
                first, *others = with_words
                with_all = first.intersection(*others) if others else first
                yield with_all.union(self._with_text(number), all=True)

    def _with_word(self, word: str) -> QuerySet[Any]:
        found = self._with_text(word)
        if any(character.isdigit() for character in word) and len(word) <= room_numbers.LONGEST:
            in_room = self._bookings.filter(assigned_room__room_number=word).values("pk")
            found = found.union(in_room, all=True)
        return found

    def _with_text(self, text: str) -> QuerySet[Any]:
        """A union, because each part has an index and an OR of them would use none."""
        bookings = self._bookings.alias(searched=SEARCHED_TEXT).filter(searched__folded__contains=text)
        guests = self._guests.alias(searched=COMPANION_TEXT).filter(searched__folded__contains=text)
        return bookings.values("pk").union(guests.values("booking"), all=True)


def _plain(word: str) -> str:
    """With full-width digits converted to ASCII."""
    return unicodedata.normalize("NFKC", word)


def _may_be_number(word: str) -> bool:
    return all(character in DIGITS + PHONE_PUNCTUATION for character in _plain(word))
