"""The booking search: without accents, in any Unicode form, telephone numbers in any format."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
from django.db import connection

from hotel.models import Staff
from room_bookings.filters import BookingQuery, bucket_counts, filtered_bookings
from room_bookings.models import BookingGuest, RoomBooking
from room_bookings.search import mentioning
from tests.conftest import url
from tests.factories import BookingFactory, NewRoomFactory
from tests.room_bookings.small_hotel import SmallHotel

pytestmark = pytest.mark.django_db

Find = Callable[[str], list[str]]


@pytest.fixture
def find(small_hotel: SmallHotel, api: Callable[[Staff], Any]) -> Find:
    """``find("emile")`` returns the first names of the bookings that match ``q``, oldest first."""
    client = api(small_hotel.agent)

    def names(text: str) -> list[str]:
        response = client.get(url(small_hotel.agent, "room-bookings/"), {"q": text, "ordering": "created_at"})
        assert response.status_code == 200, response.content
        return [row["guest_name"].split()[0] for row in response.json()["results"]]

    return names


def made(small_hotel: SmallHotel, **fields: Any) -> RoomBooking:
    """A booking whose default fields match none of the search terms."""
    plain = {
        "primary_first_name": "Guest",
        "primary_last_name": "X",
        "booking_id": "BK-" + "X" * RoomBooking.objects.count(),
    }
    return BookingFactory(**{"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, **plain, **fields})


FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Émile", ["émile", "Emile", "ÉMILE", "emi", "mile"]),
        ("Emile", ["émilé", "ÈMILE"]),
        ("Søren", ["soren", "SØREN"]),
        ("Łukasz", ["lukasz", "łukasz"]),
        ("Đorđe", ["dorde", "Đorđe"]),
        ("Weißmüller", ["weissmuller", "WEISSMÜLLER", "weißmuller"]),
        ("Þórður", ["thordur"]),
        ("Æsa", ["aesa"]),
        ("Işıl", ["isil", "IŞIL"]),
        ("İpek", ["ipek"]),
        ("O’Brien", ["o'brien", "O’BRIEN"]),
        ("Nguyễn", ["nguyen", "Nguyên"]),
        ("Ἀθηνᾶ", ["Ἀθηνᾶ"]),
        ("Елена", ["елена", "ЕЛЕНА"]),
        ("Ｙｕｋｉ", ["yuki"]),
        ("Yuki", ["Ｙｕｋｉ"]),
        ("山田", ["山田"]),
    ],
)
def test_a_name_is_found_without_accents_and_in_any_unicode_form(small_hotel, name, typed):
    made(small_hotel, primary_last_name="Nobody")
    booking = made(small_hotel)
    for stored_form in FORMS:
        RoomBooking.objects.filter(pk=booking.pk).update(primary_last_name=unicodedata.normalize(stored_form, name))
        for text, typed_form in product(typed, FORMS):
            found = RoomBooking.objects.filter(mentioning(unicodedata.normalize(typed_form, text)))
            assert list(found) == [booking], (stored_form, typed_form, text)


@pytest.mark.parametrize(("stored", "typed"), [("Zoë", "zoes"), ("Anna", "ann3"), ("Søren", "saren"), ("Bå", "bb")])
def test_different_letters_do_not_match(small_hotel, find, stored, typed):
    made(small_hotel, primary_last_name=stored)
    assert find(typed) == []


SPELLINGS = (
    "+353 86 555 0177",
    "+353865550177",
    "00353 86 555 0177",
    "00353865550177",
    "086 555 0177",
    "0865550177",
    "086-555-0177",
    "(086) 555 0177",
    "086/5550177",
    "+353 (0)86 555.01.77",
    "086\u00a0555\u20110177",
    "86 555 0177",
)


def test_telephone_number_is_found_in_any_format(small_hotel):
    ada = made(small_hotel, primary_first_name="Ada")
    made(small_hotel, primary_first_name="Other", primary_phone="+353 87 555 0177")
    made(small_hotel, primary_first_name="None")

    def found(typed: str) -> list[str]:
        bookings = RoomBooking.objects.filter(mentioning(typed, small_hotel.hotel))
        return list(bookings.order_by("created_at").values_list("primary_first_name", flat=True))

    for stored in SPELLINGS:
        RoomBooking.objects.filter(pk=ada.pk).update(primary_phone=stored)
        for typed in (*SPELLINGS, "+353 086 5550177", "０８６ ５５５ ０１７７"):
            assert found(typed) == ["Ada"], (stored, typed)
        # part of it, as it is typed
        for typed in ("86555", "86 555", "5550177", "555 0177", "555-0177", "５５５０１７７"):
            assert "Ada" in found(typed), (stored, typed)
        assert found("ada 086 555 0177") == found("086 555 0177 ADA") == ["Ada"], stored
        assert found("other 086 555 0177") == [], stored


def test_other_numbers_are_searched_as_words(small_hotel, find):
    room = NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=55501)
    made(small_hotel, primary_first_name="Ada", assigned_room=room, confirmation_number="2026-0005123")
    made(small_hotel, primary_first_name="Percy", booking_id="BK-2026-0501", primary_phone="0044 20 7946 0000")
    assert find("55501") == ["Ada"]
    assert find("2026-0005123") == ["Ada"]
    assert find("00501") == []  # few digits: its zeros count
    assert find("2026-0501") == ["Percy"]
    assert find("555 01") == []
    assert find("2026 7946") == ["Percy"]  # one word each
    assert find("-") == find("2026-0") == ["Ada", "Percy"]
    assert find("+ 0501 ( )") == []  # searched as words, one of which is missing


def test_booker_and_companions_are_found_by_name_email_and_telephone(small_hotel, find):
    who = {"booker_first_name": "Zoë", "booker_last_name": "Ó Briain", "booker_company": "Bürger & Söhne"}
    made(small_hotel, primary_first_name="Ada", booker_type="COMPANY", booker_phone="+49 (0)30 901820", **who)
    booking = made(small_hotel, primary_first_name="Percy")
    mail, phone = "renée@example.com", "01 555-0200"
    BookingGuest.objects.create(booking=booking, first_name="Renée", last_name="Müller", email=mail, phone=phone)
    for text in ("zoe", "o briain", "burger", "030 901820", "zoe 0049 30 901820"):
        assert find(text) == ["Ada"], text
    for text in ("renee", "RENÉE@example", "muller percy", "+353 1 555 0200", "01 5550200 percy"):
        assert find(text) == ["Percy"], text


@pytest.mark.parametrize("text", ["%", "_", "\\", "％", "＿", "＼", "\\%", "100%", "'", "\u0301", "+", "()", "\u3000"])
def test_sql_pattern_characters_are_literal(small_hotel, find, text):
    made(small_hotel, primary_first_name="Ada")
    assert find(text) in ([], ["Ada"])
    if text.strip() in tuple("%_\\％＿＼"):
        assert find(text) == []
        made(small_hotel, primary_first_name="Percy", primary_last_name="100%_\\")
        assert find(text) == ["Percy"]


def test_names_are_ordered_as_people_expect(small_hotel, api):
    for number, name in enumerate(["Zoe", "émile", "Ángel", "Øyvind", "anna", "Emil", "Łukasz", "Ōta"]):
        made(small_hotel, primary_first_name=name, booking_id=f"BK-{number}")
    client = api(small_hotel.agent)
    wanted = ["Ángel", "anna", "Emil", "émile", "Łukasz", "Ōta", "Øyvind", "Zoe"]
    for ordering, names in (("guest_name", wanted), ("-guest_name", wanted[::-1])):
        body = client.get(url(small_hotel.agent, "room-bookings/"), {"ordering": ordering}).json()
        assert [row["guest_name"] for row in body["results"]] == [f"{name} X" for name in names]


# --- statements -------------------------------------------------------------------------------------------------------


@contextmanager
def planned_for_many_rows() -> Iterator[None]:
    """Make the planner use an index wherever it can, as it does with many bookings."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        yield
        cursor.execute("SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on")


@pytest.mark.parametrize("text", ["emile", "Émile", "086 555 0177", "5550177", "2026-0005", "ada lovelace 101"])
def test_search_uses_indexes_and_scans_neither_table(text):
    with planned_for_many_rows():
        plan = RoomBooking.objects.filter(mentioning(text)).explain()
    assert {"room_booking_words", "booking_guest_words"} <= set(re.findall(r"\w+_words", plan)), plan
    assert "Seq Scan" not in plan, plan


def test_each_part_of_a_search_names_the_hotel(small_hotel):
    """Otherwise PostgreSQL first finds a common word in the bookings of all hotels."""
    sql = str(RoomBooking.objects.filter(mentioning("ada 5550177 smith", small_hotel.hotel)).query)
    parts = sql.count("SELECT") - 1  # but the outermost
    assert sql.count(f'"hotel_id" = {small_hotel.hotel.pk}') == parts == 9


def test_order_by_name_uses_its_index(small_hotel):
    query = BookingQuery().run_validation({"ordering": "guest_name"})
    with planned_for_many_rows():
        plan = filtered_bookings(small_hotel.hotel, query).values_list("pk")[:10].explain()
    assert "room_booking_by_name" in plan
    assert "Sort" not in plan


def test_telephone_search_takes_no_more_statements(small_hotel, statements):
    for text in ("ada", "ada +353 86 555 0177 101"):
        query = BookingQuery().run_validation({"q": text})
        with statements() as made_:
            bucket_counts(small_hotel.hotel, query)
        assert len(made_) == 1


def test_the_function_needs_no_search_path():
    """A restore and a reindex call it with an empty search path."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        [(schema,)] = cursor.fetchall()
        cursor.execute("SET LOCAL search_path = ''")
        cursor.execute(f"SELECT \"{schema}\".hotelmate_folded('Émile Weiß')")
        assert cursor.fetchall() == [("emile weiss",)]
        cursor.execute(f'SET LOCAL search_path = "{schema}"')
