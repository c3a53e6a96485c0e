"""Room blocks and their reasons in the admin: reasons are edited; services complete and cancel blocks."""

from html import unescape
from typing import Any

import pytest
from django.test import Client

from hotel import calendar, rights
from hotel.models import Hotel, Staff
from housekeeping.blocks import NewBlock, cancel_block, create_blocks
from rooms.models import BlockReason, Room, RoomBlock
from tests.admin.every_model import admin_url, planned_block, signed_in_browser
from tests.factories import HotelFactory, StaffFactory, room_in
from tests.http import nothing_written

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager_browser(manager) -> Client:
    return signed_in_browser(manager.user)


@pytest.fixture
def reason(hotel) -> BlockReason:
    return BlockReason.objects.create(hotel=hotel, code="REPAIR", label="Repair")


def active_block(room: Room, reason: BlockReason, staff: Staff) -> RoomBlock:
    wanted = NewBlock("OUT_OF_ORDER", reason, calendar.business_date(room.hotel), None, "CHECKOUT_DIRTY")
    [outcome] = create_blocks(rooms=[room], wanted=wanted, staff=staff)
    assert outcome.block and outcome.block.status == "ACTIVE"
    return outcome.block


def choose(client: Client, action: str, *rows: Any, **fields: Any) -> Any:
    data = {"action": action, "_selected_action": [row.pk for row in rows], **fields}
    return client.post(admin_url(type(rows[0]), "changelist"), data, follow=True)


def told(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


# --- reasons ----------------------------------------------------------------------------------------------------------

NEW = {
    "code": "PAINT",
    "label": "Painting",
    "default_kind": "HOUSE_USE",
    "default_return_status": "READY_FOR_GUEST",
    "is_active": "on",
}


def test_a_manager_adds_a_reason_to_the_own_hotel(manager_browser, hotel):
    assert manager_browser.post(admin_url(BlockReason, "add"), NEW).status_code == 302
    made = BlockReason.objects.get(code="PAINT")
    assert (made.hotel, made.label, made.default_kind) == (hotel, "Painting", "HOUSE_USE")
    again = manager_browser.post(admin_url(BlockReason, "add"), NEW, follow=True)
    assert told(again)[-1:] == ["Not saved: another row already has this name, code or number."]
    assert BlockReason.objects.filter(code="PAINT").count() == 1


def test_the_code_of_a_reason_never_changes(manager_browser, reason):
    where = admin_url(BlockReason, "change", reason.pk)
    assert manager_browser.post(where, NEW | {"initial-label": "Repair"}).status_code == 302
    reason.refresh_from_db()
    assert (reason.code, reason.label) == ("REPAIR", "Painting")


def test_only_a_reason_that_no_block_names_is_deleted(manager_browser, manager, hotel, reason):
    block = planned_block(room_in("READY_FOR_GUEST", hotel=hotel), reason, manager)
    cancel_block(block=block, staff=manager)
    unused = BlockReason.objects.create(hotel=hotel, code="PAINT", label="Painting")
    for each in (reason, unused):
        manager_browser.post(admin_url(BlockReason, "delete", each.pk), {"post": "yes"})
    assert list(BlockReason.objects.filter(hotel=hotel)) == [reason]
    choose(manager_browser, "delete_selected", reason, post="yes")
    assert BlockReason.objects.filter(pk=reason.pk).exists()


# --- blocks -----------------------------------------------------------------------------------------------------------


def test_active_blocks_are_completed_after_a_page_that_lists_the_refused(manager_browser, manager, hotel, reason):
    rooms = [room_in("READY_FOR_GUEST", hotel=hotel) for _ in range(3)]
    active, planned = active_block(rooms[0], reason, manager), planned_block(rooms[1], reason, manager)
    over = planned_block(rooms[2], reason, manager)
    cancel_block(block=over, staff=manager)
    with nothing_written():
        asked = choose(manager_browser, "complete", active, planned, over)
    assert [block.pk for block, _ in asked.context["rows"]] == [active.pk]
    assert [block.pk for block, _ in asked.context["refused"]] == [planned.pk, over.pk]
    page = unescape(asked.content.decode())
    assert "A block that is planned can't be completed." in page
    assert "A block that is cancelled can't be completed." in page
    assert f"Room {rooms[0].room_number}: out of order (Repair) from" in page

    done = choose(manager_browser, "complete", active, planned, apply="1", note="the plumber was quick")
    refused = f"Room {rooms[1].room_number}: A block that is planned can't be completed."
    assert sorted(told(done)) == ["Completed: 1 of 2 blocks.", refused]
    active.refresh_from_db()
    assert (active.status, Room.objects.get(pk=rooms[0].pk).room_status) == ("COMPLETED", "CHECKOUT_DIRTY")
    event = active.events.get(version=active.version)
    assert (event.staff, event.note) == (manager, "the plumber was quick")
    assert RoomBlock.objects.get(pk=planned.pk).status == "PLANNED"
    again = choose(manager_browser, "complete", active, apply="1")
    assert told(again) == [f"Room {rooms[0].room_number}: already done."]


def test_planned_blocks_are_cancelled(manager_browser, manager, hotel, reason):
    block = planned_block(room_in("READY_FOR_GUEST", hotel=hotel), reason, manager)
    assert choose(manager_browser, "cancel", block).context["rows"] == [(block, [])]
    assert told(choose(manager_browser, "cancel", block, apply="1")) == ["Cancelled: 1 of 1 blocks."]
    assert RoomBlock.objects.get(pk=block.pk).status == "CANCELLED"
    page = manager_browser.get(admin_url(RoomBlock, "change", block.pk)).content.decode()
    assert "history" in page and "Cancelled" in page


def test_the_actions_need_the_right_to_block(hotel, manager, reason):
    block = active_block(room_in("READY_FOR_GUEST", hotel=hotel), reason, manager)
    agent = StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT, user__is_staff=True)
    agent.user.user_permissions.add(*manager.role.permissions.filter(codename="view_roomblock"))
    client = signed_in_browser(agent.user)
    listed = client.get(admin_url(RoomBlock, "changelist"))
    assert list(listed.context["cl"].result_list) == [block]
    assert not listed.context["action_form"]
    with nothing_written():
        choose(client, "complete", block, apply="1")
    assert RoomBlock.objects.get(pk=block.pk).status == "ACTIVE"


def test_a_superuser_ends_blocks_of_the_own_hotel_only(hotel, manager, reason):
    manager.user.is_superuser = True
    manager.user.save()
    other: Hotel = HotelFactory()
    theirs = BlockReason.objects.create(hotel=other, code="REPAIR", label="Repair")
    block = planned_block(
        room_in("READY_FOR_GUEST", hotel=other), theirs, StaffFactory(hotel=other, role=rights.HOTEL_MANAGER)
    )
    client = signed_in_browser(manager.user)
    asked = choose(client, "cancel", block)
    assert [str(refusal) for _, refusals in asked.context["refused"] for refusal in refusals]
    assert told(choose(client, "cancel", block, apply="1")) == [
        f"Room {block.room.room_number}: Only the staff of {other} may do this."
    ]
    assert RoomBlock.objects.get(pk=block.pk).status == "PLANNED"


def test_the_list_is_filtered_by_kind_status_and_room_type(manager_browser, manager, hotel, reason):
    rooms = [room_in("READY_FOR_GUEST", hotel=hotel) for _ in range(2)]
    active, planned = active_block(rooms[0], reason, manager), planned_block(rooms[1], reason, manager)
    for query, wanted in (
        ({"kind__exact": "OUT_OF_ORDER"}, active),
        ({"status__exact": "PLANNED"}, planned),
        ({"free_from__isempty": "1"}, active),
        ({"room__room_type__id__exact": rooms[0].room_type_id, "status__exact": "ACTIVE"}, active),
        ({"q": str(rooms[1].room_number)}, planned),
    ):
        answer = manager_browser.get(admin_url(RoomBlock, "changelist"), query)
        assert list(answer.context["cl"].result_list) == [wanted], query


def test_the_list_makes_the_same_statements_for_any_number_of_blocks(
    manager_browser, manager, hotel, reason, statements
):
    counts = []
    for number in (1, 2):
        for _ in range(number):
            active_block(room_in("READY_FOR_GUEST", hotel=hotel), reason, manager)
        with statements() as made:
            assert manager_browser.get(admin_url(RoomBlock, "changelist")).status_code == 200
        counts.append(len(made.sql()))
    assert counts[0] == counts[1]
