"""Rooms and room types, with the constraints and triggers that protect a room's status."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q, Value

from common import clock, room_numbers
from common.fields import LineField, LinesField, RoomNumberField, not_blank
from common.money import MOST_DECIMALS, currency_code, decimals_refusal
from common.triggers import (
    AmountFitsCurrency,
    ClaimsKept,
    NeverChanged,
    NeverDeleted,
    NightsTaken,
    ReportedInDryRun,
    Rule,
    SameHotel,
    refusal_sql,
)
from hotel.models import Hotel, Staff
from hotel.rights import permissions

if TYPE_CHECKING:
    from housekeeping.models import RoomStatusEvent


class RoomStatus(models.TextChoices):
    """The seven room statuses (docs/api.md, Room status)."""

    OCCUPIED = "OCCUPIED", "Occupied"
    CHECKOUT_DIRTY = "CHECKOUT_DIRTY", "Checkout dirty"
    CLEANING_IN_PROGRESS = "CLEANING_IN_PROGRESS", "Cleaning in progress"
    CLEANED_UNINSPECTED = "CLEANED_UNINSPECTED", "Cleaned uninspected"
    READY_FOR_GUEST = "READY_FOR_GUEST", "Ready for guest"
    MAINTENANCE_REQUIRED = "MAINTENANCE_REQUIRED", "Maintenance required"
    OUT_OF_ORDER = "OUT_OF_ORDER", "Out of order"


class Priority(models.TextChoices):
    """How urgent a fault or a task is, ascending."""

    LOW = "LOW", "Low"
    MED = "MED", "Medium"
    HIGH = "HIGH", "High"


_S = RoomStatus
# The workflow map. MAINTENANCE_REQUIRED → OCCUPIED also needs a guest in house (``rooms.snapshots.facts_allow``).
TRANSITIONS: dict[str, tuple[str, ...]] = {
    _S.OCCUPIED: (_S.CHECKOUT_DIRTY, _S.MAINTENANCE_REQUIRED),
    _S.CHECKOUT_DIRTY: (_S.CLEANING_IN_PROGRESS, _S.CLEANED_UNINSPECTED, _S.READY_FOR_GUEST, _S.MAINTENANCE_REQUIRED),
    _S.CLEANING_IN_PROGRESS: (_S.CLEANED_UNINSPECTED, _S.CHECKOUT_DIRTY, _S.READY_FOR_GUEST, _S.MAINTENANCE_REQUIRED),
    _S.CLEANED_UNINSPECTED: (_S.READY_FOR_GUEST, _S.CLEANING_IN_PROGRESS, _S.CHECKOUT_DIRTY, _S.MAINTENANCE_REQUIRED),
    _S.READY_FOR_GUEST: (_S.OCCUPIED, _S.CHECKOUT_DIRTY, _S.MAINTENANCE_REQUIRED, _S.OUT_OF_ORDER),
    _S.MAINTENANCE_REQUIRED: (_S.OCCUPIED, _S.CHECKOUT_DIRTY, _S.OUT_OF_ORDER, _S.READY_FOR_GUEST),
    _S.OUT_OF_ORDER: (_S.CHECKOUT_DIRTY, _S.MAINTENANCE_REQUIRED, _S.READY_FOR_GUEST),
}
NEW_ROOM_STATUSES = (_S.READY_FOR_GUEST, _S.CHECKOUT_DIRTY)


class RoomType(models.Model):
    """A category of rooms, sold as one."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="room_types")
    name = LineField(max_length=100)
    code = LineField(max_length=20)
    starting_price_from = models.DecimalField(
        max_digits=12, decimal_places=MOST_DECIMALS, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )
    currency = models.CharField(max_length=3, default="EUR", validators=[currency_code])
    max_occupancy = models.PositiveSmallIntegerField(default=2, validators=[MinValueValidator(1)])
    bed_setup = LineField(max_length=200, blank=True)
    short_description = LinesField(max_length=2000, blank=True)
    availability_message = LineField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    credits = models.DecimalField(
        "housekeeping credits",
        max_digits=4,
        decimal_places=2,
        default=Decimal(1),
        db_default=Decimal(1),
        validators=[MinValueValidator(Decimal(0))],
        help_text="How much work one cleaning is: 1 for a usual room.",
    )

    class Meta:
        ordering = ["hotel", "code"]
        constraints = [
            models.UniqueConstraint(fields=["hotel", "code"], name="room_type_code_unique"),
            models.UniqueConstraint(fields=["hotel", "name"], name="room_type_name_unique"),
            models.CheckConstraint(condition=not_blank("name", "code"), name="room_type_has_name_and_code"),
            models.CheckConstraint(condition=Q(max_occupancy__gte=1), name="room_type_sleeps_someone"),
            models.CheckConstraint(
                condition=Q(starting_price_from__isnull=True) | Q(starting_price_from__gte=0),
                name="room_type_price_not_negative",
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="room_type_currency_is_a_code"),
            models.CheckConstraint(condition=Q(credits__gte=0), name="room_type_credits_not_negative"),
        ]
        triggers = [
            SameHotel(name="room_type_one_hotel", links={}),
            AmountFitsCurrency(name="room_type_price_fits_currency", amount="starting_price_from"),
            ReportedInDryRun(name="room_type_in_dry_run"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.name}"

    def clean(self) -> None:
        """For the admin form: the price has no more decimals than its currency allows."""
        if refusal := decimals_refusal(self.starting_price_from, self.currency):
            raise ValidationError({"starting_price_from": refusal})


class StatusAudited(Rule):
    """At commit, every room status change has an audit row with the same from, to and version."""

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert | pgtrigger.UpdateOf("id", "room_status", "status_version")
    declare = [("now_at", "RECORD"), ("newest", "RECORD")]

    def get_func(self, model: Any) -> str:
        new_room = ", ".join(f"'{status}'" for status in NEW_ROOM_STATUSES)
        unaudited = refusal_sql(self.name, "a room status changes only together with its audit row")
        return f"""
            IF TG_OP = 'UPDATE' THEN
                -- Under another id the room would leave its history behind.
                IF NEW.id <> OLD.id THEN
                    {unaudited}
                END IF;
                IF NEW.room_status = OLD.room_status AND NEW.status_version = OLD.status_version THEN
                    RETURN NULL;
                END IF;
                IF NEW.status_version <> OLD.status_version + 1 OR NOT EXISTS (
                    SELECT 1 FROM housekeeping_roomstatusevent event
                    WHERE event.room_id = NEW.id AND event.version = NEW.status_version
                      AND event.from_status = OLD.room_status AND event.to_status = NEW.room_status
                ) THEN
                    {unaudited}
                END IF;
                RETURN NULL;
            END IF;
            -- An inserted room is new, or restored from a backup together with its history.
            SELECT * INTO now_at FROM rooms_room WHERE id = NEW.id;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT * INTO newest FROM housekeeping_roomstatusevent event
            WHERE event.room_id = NEW.id ORDER BY event.version DESC LIMIT 1;
            IF FOUND THEN
                IF newest.version <> now_at.status_version OR newest.to_status <> now_at.room_status
                   OR newest.hotel_id <> now_at.hotel_id THEN
                    {unaudited}
                END IF;
            ELSIF now_at.status_version <> 0 OR now_at.room_status NOT IN ({new_room}) THEN
                {unaudited}
            END IF;
            RETURN NULL;
        """  # noqa: S608 - names and statuses of our own


class OutOfOrderBlocked(Rule):
    """At commit, a room is OUT_OF_ORDER exactly while a block that closes it is active; asked of the room.

    For writers that know no blocks, such as the previous release's processes during an upgrade: a room that goes out of
    order without a block gets one without an end; a block that the status made ends with the status. Any other block
    refuses the change.
    """

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert | pgtrigger.UpdateOf("room_status")
    declare = [("room", "RECORD"), ("today", "DATE")]

    def get_func(self, model: Any) -> str:
        closing = (
            "block.room_id = room.id AND block.status = 'ACTIVE' AND block.kind IN ('OUT_OF_ORDER', 'OUT_OF_INVENTORY')"
        )
        return f"""
            IF TG_OP = 'UPDATE' THEN
                IF OLD.room_status <> 'OUT_OF_ORDER' AND NEW.room_status <> 'OUT_OF_ORDER' THEN
                    RETURN NULL;
                END IF;
            END IF;
            SELECT * INTO room FROM rooms_room WHERE id = NEW.id;
            IF NOT FOUND OR (room.room_status = 'OUT_OF_ORDER')
               = EXISTS (SELECT 1 FROM rooms_roomblock block WHERE {closing}) THEN
                RETURN NULL;
            END IF;
            SELECT (now() AT TIME ZONE hotel.timezone - hotel.late_arrival_cutoff::interval)::date INTO today
            FROM hotel_hotel hotel WHERE hotel.id = room.hotel_id;
            IF room.room_status = 'OUT_OF_ORDER' THEN
                -- One statement, so that the block never is without its history.
                WITH made AS (
                    INSERT INTO rooms_roomblock (hotel_id, room_id, kind, remarks, first_night, return_status, status,
                        by_status, version, created_at, started_at)
                    VALUES (room.hotel_id, room.id, 'OUT_OF_ORDER', '', today, 'CHECKOUT_DIRTY', 'ACTIVE',
                        true, 1, now(), now())
                    RETURNING *
                )
                INSERT INTO rooms_roomblockevent (hotel_id, block_id, version, action, from_status, to_status,
                    from_return_status, to_return_status, note, created_at)
                SELECT hotel_id, id, version, 'CREATED', '', status, '', return_status, '', now() FROM made;
                RETURN NULL;
            END IF;
            IF EXISTS (SELECT 1 FROM rooms_roomblock block WHERE {closing} AND NOT by_status) THEN
                {refusal_sql(self.name, "an active block keeps the room out of order")}
            END IF;
            WITH made AS (
                UPDATE rooms_roomblock block
                SET status = 'COMPLETED', version = version + 1, ended_at = now(), ended_on = today
                WHERE {closing}
                RETURNING *
            )
            INSERT INTO rooms_roomblockevent (hotel_id, block_id, version, action, from_status, to_status,
                from_free, to_free, from_return_status, to_return_status, note, created_at)
            SELECT hotel_id, id, version, 'COMPLETED', 'ACTIVE', status,
                free_from, free_from, return_status, return_status, '', now() FROM made;
            RETURN NULL;
        """  # noqa: S608 - values of our own


class NumberInStep(Rule):
    """Keeps ``sort_key``, and for the previous release the integer column ``room_number``, in step with ``number``.

    The previous release writes and reads only the integer; a later one drops it. A number that is no such integer has
    none there.
    """

    when = pgtrigger.Before
    operation = pgtrigger.Insert | pgtrigger.UpdateOf("number", "room_number", "sort_key")

    def get_func(self, model: Any) -> str:
        return f"""
            IF NEW.number IS NULL THEN
                NEW.number := NEW.room_number::text;
            ELSIF TG_OP = 'UPDATE' THEN
                IF NEW.number = OLD.number AND NEW.room_number IS DISTINCT FROM OLD.room_number THEN
                    NEW.number := NEW.room_number::text;
                END IF;
            END IF;
            NEW.room_number := CASE
                WHEN NEW.number !~ '^[1-9][0-9]{{0,9}}$' THEN NULL
                WHEN NEW.number::bigint <= {room_numbers.LARGEST} THEN NEW.number::integer
            END;
            NEW.sort_key := hotelmate_room_key(NEW.number);
            RETURN NEW;
        """


class FeaturesKnown(Rule):
    """A room's features are in its hotel's list, which is locked meanwhile."""

    when = pgtrigger.After
    operation = pgtrigger.Insert | pgtrigger.UpdateOf("features", "hotel_id")
    declare = [("known", "varchar[]")]

    def get_func(self, model: Any) -> str:
        return f"""
            IF NEW.features = '{{}}' THEN
                RETURN NULL;
            END IF;
            SELECT room_features INTO known FROM hotel_hotel WHERE id = NEW.hotel_id FOR SHARE;
            IF NOT NEW.features <@ known THEN
                {refusal_sql(self.name, "a feature is not in the list of the hotel")}
            END IF;
            RETURN NULL;
        """  # noqa: S608 - names of our own


class ConnectionsMutual(Rule):
    """At commit, each of two connecting rooms of a hotel names the other, and none names itself."""

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert | pgtrigger.UpdateOf("connecting_rooms") | pgtrigger.Delete
    declare = [("room", "RECORD"), ("named", "bigint[]")]

    def get_func(self, model: Any) -> str:
        return f"""
            IF coalesce(OLD.connecting_rooms, '{{}}') = '{{}}' AND coalesce(NEW.connecting_rooms, '{{}}') = '{{}}' THEN
                RETURN NULL;
            END IF;
            SELECT * INTO room FROM rooms_room WHERE id = coalesce(NEW.id, OLD.id);
            named := coalesce(room.connecting_rooms, '{{}}');
            IF room.id = ANY(named) OR EXISTS (
                SELECT FROM unnest(named) other_id LEFT JOIN rooms_room other
                ON other.id = other_id AND other.hotel_id = room.hotel_id AND room.id = ANY(other.connecting_rooms)
                WHERE other.id IS NULL
            ) OR EXISTS (
                SELECT FROM rooms_room other
                WHERE other.id = ANY(OLD.connecting_rooms) AND OLD.id = ANY(other.connecting_rooms)
                    AND NOT other.id = ANY(named)
            ) THEN
                {refusal_sql(self.name, "connecting rooms name each other")}
            END IF;
            RETURN NULL;
        """  # noqa: S608 - names of our own


class Room(models.Model):
    """A room of a hotel. ``room_status`` has one writer: ``housekeeping.services.set_room_status``."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="rooms")
    room_number = RoomNumberField(
        max_length=room_numbers.LONGEST, db_column="number", help_text="Such as 101, 12A or Villa Rosa."
    )
    # What rooms are sorted and found by: the number in lower case, its digits padded (NumberInStep).
    sort_key = models.TextField(db_collation="C", db_default="", editable=False)
    room_type = models.ForeignKey(RoomType, on_delete=models.PROTECT, related_name="rooms")
    is_active = models.BooleanField(default=True, help_text="Untick a room that is no longer let.")

    floor = LineField(
        max_length=20, blank=True, default="", db_default="", help_text="Left empty: from the number, 1 for 101."
    )
    building = LineField(max_length=60, blank=True, default="", db_default="")
    section = LineField(max_length=60, blank=True, default="", db_default="")
    features = ArrayField(
        LineField(max_length=30),
        size=20,
        default=list,
        db_default=Value([], ArrayField(models.CharField())),
        blank=True,
        help_text="Of the hotel's list, separated by commas.",
    )
    is_accessible = models.BooleanField(default=False, db_default=False, help_text="Suitable for a wheelchair.")
    # The ids of the rooms behind its connecting doors, ascending.
    connecting_rooms = ArrayField(
        models.BigIntegerField(),
        size=10,
        default=list,
        db_default=Value([], ArrayField(models.BigIntegerField())),
        blank=True,
    )
    walking_order = models.IntegerField(
        null=True, blank=True, help_text="The place of the room on housekeeping's way through the hotel."
    )
    credits = models.DecimalField(
        "housekeeping credits",
        max_digits=4,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="Left empty: the room type's.",
    )

    room_status = models.CharField(max_length=24, choices=RoomStatus, default=RoomStatus.READY_FOR_GUEST)
    status_version = models.PositiveIntegerField(default=0, help_text="Number of status changes so far.")
    status_changed_at = models.DateTimeField(default=clock.now)

    maintenance_required = models.BooleanField(default=False)
    maintenance_priority = models.CharField(max_length=4, choices=Priority, blank=True)
    maintenance_notes = LinesField(blank=True)
    last_cleaned_at = models.DateTimeField(null=True, blank=True)
    cleaned_by_staff = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    last_inspected_at = models.DateTimeField(null=True, blank=True)
    inspected_by_staff = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    turnover_notes = LinesField(blank=True)
    # The guest's Firebase device token. HotelMate sends no notifications and no endpoint sets it; a separate guest app
    # writes it to this database. HotelMate guarantees that the token moves with the guest and is cleared when they
    # leave.
    guest_fcm_token = models.CharField(max_length=512, blank=True)

    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    # The audit row of the change that set_room_status has just made to this instance; not stored.
    status_event: "RoomStatusEvent | None" = None

    class Meta:
        ordering = ["hotel", "sort_key"]
        permissions = permissions("rooms")
        constraints = [
            models.UniqueConstraint(fields=["hotel", "sort_key"], name="room_number_unique"),
            models.CheckConstraint(condition=Q(room_number__regex=room_numbers.STORED), name="room_number_readable"),
            models.CheckConstraint(condition=Q(walking_order__gte=0), name="room_walking_order_not_negative"),
            models.CheckConstraint(condition=Q(credits__gte=0), name="room_credits_not_negative"),
            models.CheckConstraint(condition=Q(room_status__in=RoomStatus.values), name="room_status_known"),
            models.CheckConstraint(
                condition=Q(maintenance_priority__in=["", *Priority.values]),
                name="room_maintenance_priority_known",
            ),
            models.CheckConstraint(
                condition=Q(maintenance_required=True) & ~Q(maintenance_priority="")
                | Q(maintenance_required=False, maintenance_priority="", maintenance_notes=""),
                name="room_fault_has_flag_and_priority",
            ),
            models.CheckConstraint(
                condition=~Q(room_status=RoomStatus.MAINTENANCE_REQUIRED) | Q(maintenance_required=True),
                name="room_in_maintenance_has_flag",
            ),
            models.CheckConstraint(
                condition=~Q(room_status=RoomStatus.READY_FOR_GUEST) | Q(maintenance_required=False),
                name="room_ready_has_no_fault",
            ),
        ]
        triggers = [
            NumberInStep(name="room_number_in_step"),
            FeaturesKnown(name="room_features_known"),
            ConnectionsMutual(name="room_connections_mutual"),
            StatusAudited(name="room_status_audited"),
            OutOfOrderBlocked(name="room_out_of_order_blocked"),
            SameHotel(
                name="room_one_hotel",
                links={
                    "room_type": "rooms_roomtype",
                    "cleaned_by_staff": "hotel_staff",
                    "inspected_by_staff": "hotel_staff",
                },
            ),
            ReportedInDryRun(name="room_in_dry_run"),
        ]

    def __str__(self) -> str:
        return f"Room {self.room_number}"

    def can_transition_to(self, to_status: str) -> bool:
        """Whether the workflow map has this transition; the service checks physical facts and rights."""
        return to_status in TRANSITIONS[self.room_status]

    @property
    def shown_floor(self) -> str:
        """The floor, from the number where none is given."""
        return self.floor or room_numbers.floor_of(self.room_number)

    @property
    def shown_credits(self) -> Decimal:
        """The housekeeping credits, the type's where the room has none of its own."""
        return self.room_type.credits if self.credits is None else self.credits

    @property
    def is_bookable(self) -> bool:
        """Clean, inspected, in service and without a fault: ready for a guest now."""
        return self.room_status == RoomStatus.READY_FOR_GUEST and self.is_active and not self.maintenance_required


# --- blocks -----------------------------------------------------------------------------------------------------------


class BlockKind(models.TextChoices):
    """What a block takes a room away from (docs/api.md, Room blocks)."""

    OUT_OF_ORDER = "OUT_OF_ORDER", "Out of order"
    OUT_OF_SERVICE = "OUT_OF_SERVICE", "Out of service"
    OUT_OF_INVENTORY = "OUT_OF_INVENTORY", "Out of inventory"
    HOUSE_USE = "HOUSE_USE", "House use"


class BlockStatus(models.TextChoices):
    """PLANNED → ACTIVE → COMPLETED, or PLANNED → CANCELLED."""

    PLANNED = "PLANNED", "Planned"
    ACTIVE = "ACTIVE", "Active"
    COMPLETED = "COMPLETED", "Completed"
    CANCELLED = "CANCELLED", "Cancelled"


class BlockAction(models.TextChoices):
    """The changes recorded in a block's history."""

    CREATED = "CREATED", "Created"
    STARTED = "STARTED", "Started"
    EXTENDED = "EXTENDED", "New end"
    DELAYED = "DELAYED", "Waiting for the guest to leave"
    COMPLETED = "COMPLETED", "Completed"
    CANCELLED = "CANCELLED", "Cancelled"


LIVE_BLOCKS = (BlockStatus.PLANNED, BlockStatus.ACTIVE)
# The kinds whose nights cannot be sold; a room out of service has a small fault and can be.
OFF_SALE = (BlockKind.OUT_OF_ORDER, BlockKind.OUT_OF_INVENTORY, BlockKind.HOUSE_USE)
# The kinds that keep the room in the status OUT_OF_ORDER while they are active.
CLOSING = (BlockKind.OUT_OF_ORDER, BlockKind.OUT_OF_INVENTORY)
RETURN_STATUSES = (RoomStatus.CHECKOUT_DIRTY, RoomStatus.CLEANED_UNINSPECTED, RoomStatus.READY_FOR_GUEST)
RETURN_CHOICES = [(status, RoomStatus(status).label) for status in RETURN_STATUSES]


class BlockReason(models.Model):
    """A reason for blocks, from the hotel's own list, with what a block for it usually is."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="block_reasons", db_index=False)
    code = LineField(max_length=30, help_text="Such as REPAIR; clients send it.")
    label = LineField(max_length=100)
    default_kind = models.CharField(max_length=16, choices=BlockKind, default=BlockKind.OUT_OF_ORDER)
    default_return_status = models.CharField(max_length=24, choices=RETURN_CHOICES, default=RoomStatus.CHECKOUT_DIRTY)
    is_active = models.BooleanField(default=True, help_text="Untick a reason that is no longer used.")

    class Meta:
        ordering = ["hotel", "label", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["hotel", "code"], name="block_reason_code_unique"),
            models.CheckConstraint(condition=not_blank("code", "label"), name="block_reason_has_code_and_label"),
            models.CheckConstraint(condition=Q(default_kind__in=BlockKind.values), name="block_reason_kind_known"),
            models.CheckConstraint(
                condition=Q(default_return_status__in=RETURN_STATUSES), name="block_reason_return_status_known"
            ),
        ]
        triggers = [SameHotel(name="block_reason_one_hotel", links={})]

    def __str__(self) -> str:
        return self.label


_LIVE, _CLOSING = (", ".join(f"'{value}'" for value in values) for values in (LIVE_BLOCKS, CLOSING))

# The nights for which a block takes its room: all but those of a room out of service, which can be sold.
NIGHTS_OF_BLOCK = NightsTaken(
    owner="block_id",
    table="rooms_roomblock",
    condition="{row}.status IN ('PLANNED', 'ACTIVE') AND {row}.kind <> 'OUT_OF_SERVICE'",
    room="room_id",
    nights="daterange({row}.first_night, {row}.free_from)",
    columns=("status", "kind", "room_id", "first_night", "free_from"),
)


class BlockRecorded(Rule):
    """At commit, every change of a block has a history row that matches; where and from when it is never changes."""

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert | pgtrigger.Update
    declare = [("now_at", "RECORD"), ("newest", "RECORD")]
    fixed = ("id", "hotel_id", "room_id", "kind", "reason_id", "first_night", "by_status", "created_at")

    def get_func(self, model: Any) -> str:
        unrecorded = refusal_sql(self.name, "a block changes only together with its history row")
        fixed = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in self.fixed)
        return f"""
            IF TG_OP = 'UPDATE' THEN
                IF NEW IS NOT DISTINCT FROM OLD THEN
                    RETURN NULL;
                END IF;
                IF {fixed} THEN
                    {refusal_sql(self.name, "room, kind, reason and first night of a block never change")}
                END IF;
                IF OLD.status NOT IN ({_LIVE}) THEN
                    {refusal_sql(self.name, "a block that is over never changes")}
                END IF;
                IF NEW.version <> OLD.version + 1 OR NOT EXISTS (
                    SELECT 1 FROM rooms_roomblockevent event
                    WHERE event.block_id = NEW.id AND event.version = NEW.version
                      AND event.from_status = OLD.status AND event.to_status = NEW.status
                      AND event.from_free IS NOT DISTINCT FROM OLD.free_from
                      AND event.to_free IS NOT DISTINCT FROM NEW.free_from
                      AND event.from_return_status = OLD.return_status AND event.to_return_status = NEW.return_status
                ) THEN
                    {unrecorded}
                END IF;
                RETURN NULL;
            END IF;
            -- An inserted block is new, or restored from a backup together with its history.
            SELECT * INTO now_at FROM rooms_roomblock WHERE id = NEW.id;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
            SELECT * INTO newest FROM rooms_roomblockevent event
            WHERE event.block_id = NEW.id ORDER BY event.version DESC LIMIT 1;
            IF NOT FOUND OR newest.version <> now_at.version OR newest.to_status <> now_at.status
               OR newest.to_free IS DISTINCT FROM now_at.free_from
               OR newest.to_return_status <> now_at.return_status THEN
                {unrecorded}
            END IF;
            RETURN NULL;
        """  # noqa: S608 - values of our own


class BlockClosesRoom(Rule):
    """At commit, a room is OUT_OF_ORDER exactly while a block that closes it is active; asked of the block."""

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert | pgtrigger.UpdateOf("status")
    declare = [("is_closed", "BOOLEAN")]

    def get_func(self, model: Any) -> str:
        return f"""
            SELECT EXISTS (
                SELECT 1 FROM rooms_roomblock block
                WHERE block.room_id = room.id AND block.status = 'ACTIVE' AND block.kind IN ({_CLOSING})
            ) <> (room.room_status = 'OUT_OF_ORDER') INTO is_closed
            FROM rooms_room room WHERE room.id = NEW.room_id;
            IF is_closed THEN
                {refusal_sql(self.name, "a room is out of order exactly while a block that closes it is active")}
            END IF;
            RETURN NULL;
        """  # noqa: S608 - values of our own


class RoomBlock(models.Model):
    """Nights on which a room is not to be let, or only with care: kind, reason, range and return status.

    Written by ``housekeeping.services`` (the status OUT_OF_ORDER without dates) and ``housekeeping.blocks``.
    """

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="room_blocks", db_index=False)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="blocks")
    kind = models.CharField(max_length=16, choices=BlockKind)
    reason = models.ForeignKey(BlockReason, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    remarks = LinesField(blank=True)
    first_night = models.DateField()
    free_from = models.DateField(
        null=True, blank=True, help_text="The day after the last night; blank: until completed."
    )
    return_status = models.CharField(max_length=24, choices=RETURN_CHOICES)
    status = models.CharField(max_length=10, choices=BlockStatus)
    by_status = models.BooleanField(
        default=False, help_text="Made by the status Out of order, and completed by the next status."
    )
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField(null=True, blank=True)
    delayed_at = models.DateTimeField(null=True, blank=True, help_text="When it was due, but a guest was in the room.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_on = models.DateField(null=True, blank=True, help_text="The business date on which it was completed.")

    class Meta:
        ordering = ["-first_night", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=BlockKind.values), name="room_block_kind_known"),
            models.CheckConstraint(
                condition=Q(return_status__in=RETURN_STATUSES), name="room_block_return_status_known"
            ),
            models.CheckConstraint(
                condition=Q(free_from__isnull=True) | Q(free_from__gt=F("first_night")), name="room_block_has_a_night"
            ),
            models.CheckConstraint(
                condition=Q(status=BlockStatus.PLANNED, started_at=None, ended_at=None, ended_on=None)
                | Q(status=BlockStatus.ACTIVE, started_at__isnull=False, ended_at=None, ended_on=None)
                | Q(
                    status=BlockStatus.COMPLETED,
                    started_at__isnull=False,
                    ended_at__isnull=False,
                    ended_on__isnull=False,
                )
                | Q(status=BlockStatus.CANCELLED, started_at=None, ended_at__isnull=False, ended_on=None),
                name="room_block_status_agrees_with_times",
            ),
            models.CheckConstraint(
                condition=Q(by_status=False, reason__isnull=False)
                | Q(
                    by_status=True,
                    kind=BlockKind.OUT_OF_ORDER,
                    status__in=[BlockStatus.ACTIVE, BlockStatus.COMPLETED],
                ),
                name="room_block_has_reason",
            ),
            # Blocks of the other kinds exclude each other, and stays, by their claims.
            ExclusionConstraint(
                name="room_block_out_of_service_once",
                expressions=[
                    (F("room"), RangeOperators.EQUAL),
                    (
                        Func(F("first_night"), F("free_from"), function="daterange", output_field=DateRangeField()),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=Q(kind=BlockKind.OUT_OF_SERVICE, status__in=LIVE_BLOCKS),
            ),
        ]
        indexes = [
            models.Index(fields=["hotel", "-first_night", "-id"], name="room_block_by_date"),
            models.Index(fields=["room", "first_night"], name="room_block_live", condition=Q(status__in=LIVE_BLOCKS)),
            # What the business day begins or ends has begun by today, or was to begin.
            models.Index(fields=["hotel", "first_night"], name="room_block_due", condition=Q(status__in=LIVE_BLOCKS)),
        ]
        triggers = [
            BlockRecorded(name="room_block_recorded"),
            BlockClosesRoom(name="room_block_closes_room"),
            NeverDeleted(name="room_block_never_deleted"),
            ClaimsKept(name="room_block_claims_kept", taken=NIGHTS_OF_BLOCK),
            SameHotel(
                name="room_block_one_hotel",
                links={"room": "rooms_room", "reason": "rooms_blockreason", "created_by": "hotel_staff"},
            ),
            ReportedInDryRun(name="room_block_in_dry_run"),
        ]

    def __str__(self) -> str:
        until = f"to {self.free_from}" if self.free_from else "until completed"
        return f"{self.get_kind_display()} from {self.first_night} {until}"

    @property
    def is_late(self) -> bool:
        """Whether the block was due, and an overdue guest was still in the room."""
        return self.status == BlockStatus.PLANNED and self.delayed_at is not None


class BlockEventChained(Rule):
    """At commit, a history row matches an actual change of its block and starts where the one before it ended."""

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert
    declare = [("block", "RECORD")]

    def get_func(self, model: Any) -> str:
        return f"""
            SELECT * INTO block FROM rooms_roomblock WHERE id = NEW.block_id;
            IF block.hotel_id <> NEW.hotel_id THEN
                {refusal_sql(self.name, "a history row belongs to its block''s hotel")}
            END IF;
            IF NEW.version > block.version
               OR (NEW.version = block.version AND (NEW.to_status <> block.status
                   OR NEW.to_free IS DISTINCT FROM block.free_from OR NEW.to_return_status <> block.return_status))
            THEN
                {refusal_sql(self.name, "a history row tells of a change that was made")}
            END IF;
            IF NEW.version = 1 AND NEW.from_status <> '' OR NEW.version > 1 AND NOT EXISTS (
                SELECT 1 FROM rooms_roomblockevent earlier
                WHERE earlier.block_id = NEW.block_id AND earlier.version = NEW.version - 1
                  AND earlier.to_status = NEW.from_status
            ) THEN
                {refusal_sql(self.name, "a history row starts where the one before it ended")}
            END IF;
            RETURN NULL;
        """  # noqa: S608 - values of our own


class RoomBlockEvent(models.Model):
    """One change of a block: what, who, when, and its end and return status before and after. Append-only."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    block = models.ForeignKey(RoomBlock, on_delete=models.PROTECT, related_name="events", db_index=False)
    version = models.PositiveIntegerField(help_text="1, 2, 3 … within the block.")
    action = models.CharField(max_length=10, choices=BlockAction)
    from_status = models.CharField(max_length=10, choices=BlockStatus, blank=True)
    to_status = models.CharField(max_length=10, choices=BlockStatus)
    from_free = models.DateField("free from, before", null=True, blank=True)
    to_free = models.DateField("free from", null=True, blank=True)
    from_return_status = models.CharField("return status, before", max_length=24, choices=RETURN_CHOICES, blank=True)
    to_return_status = models.CharField("return status", max_length=24, choices=RETURN_CHOICES)
    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    note = LinesField(blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["block", "version"]
        constraints = [
            # Its index also serves a block's history.
            models.UniqueConstraint(fields=["block", "version"], name="room_block_event_version_unique"),
            models.CheckConstraint(condition=Q(version__gte=1), name="room_block_event_version_from_1"),
            models.CheckConstraint(condition=Q(action__in=BlockAction.values), name="room_block_event_action_known"),
        ]
        triggers = [
            BlockEventChained(name="room_block_event_chained"),
            NeverChanged(name="room_block_event_never_changed"),
            SameHotel(name="room_block_event_one_hotel", links={"staff": "hotel_staff"}),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.created_at:%Y-%m-%d %H:%M}"
