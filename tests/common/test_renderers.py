"""The quick JSON encoder writes the same bytes as DRF's."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from rest_framework.renderers import JSONRenderer

from common.renderers import JsonList, QuickJSONRenderer
from rooms.models import RoomStatus
from rooms.serializers import ROOM_EXAMPLE
from rooms.snapshots import NOBODY

VALUES = {
    "room": ROOM_EXAMPLE | NOBODY,
    "text": "Gráinne’s “room” \u2028\u2029 \\ / \x00\x1f\x7f 🛏",
    "numbers": [0, -1, 2**63 - 1, 0.1, 42.5, -0.0, True, False, None],
    "money": Decimal("95.00"),
    "moment": datetime(2026, 7, 1, 9, 12, 45, 120_000, UTC),
    "second": datetime(2026, 7, 1, 9, 12, 45, 0, UTC),
    "elsewhere": datetime(2026, 7, 1, 9, 12, 45, 120_456, timezone(timedelta(hours=-5))),
    "day": date(2026, 7, 1),
    "hour": time(11, 30),
    "span": timedelta(minutes=90),
    "uuid": UUID(int=7),
    "status": RoomStatus.READY_FOR_GUEST,
    "pair": (1, "two"),
    "some": {"only one"},
    "nothing": [{}, [], "", None],
}


@pytest.mark.parametrize("name", VALUES)
def test_the_bytes_are_those_of_drf(name):
    value = {name: [VALUES[name]]}
    assert QuickJSONRenderer().render(value) == JSONRenderer().render(value)


@pytest.mark.parametrize("value", [{1: "a key that is a number"}, {"large": 2**70}])
def test_values_that_orjson_refuses_are_encoded_by_drf(value):
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(value)
    assert QuickJSONRenderer().render(value) == JSONRenderer().render(value)


def test_values_that_both_encoders_refuse_raise():
    with pytest.raises(TypeError, match="object"):
        QuickJSONRenderer().render({"thing": object()})


def test_none_has_no_body_and_indent_is_respected():
    assert QuickJSONRenderer().render(None) == b""
    assert QuickJSONRenderer().render({"a": 1}, "application/json; indent=2") == b'{\n  "a": 1\n}'


@pytest.mark.parametrize("media_type", [None, "application/json; indent=2"])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_an_encoded_list_renders_like_a_plain_list(count, media_type):
    things = [VALUES | {"number": number} for number in range(count)]
    ready = JsonList()
    for thing in things:
        ready.append(thing)
    assert len(ready) == count
    for _ in range(2):
        answer = QuickJSONRenderer().render({"count": count, "rooms": ready, "more": [ready]}, media_type)
        assert answer == JSONRenderer().render({"count": count, "rooms": things, "more": [things]}, media_type)


def test_an_encoded_list_beside_a_value_that_orjson_refuses():
    ready = JsonList()
    ready.append({"number": 1})
    assert QuickJSONRenderer().render({1: ready}) == b'{"1":[{"number":1}]}'
