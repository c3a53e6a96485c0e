"""Rooms and room types, with the constraints and triggers that protect a room's status."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pgtrigger
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from common import clock
from common.fields import LineField, LinesField, not_blank
from common.money import MOST_DECIMALS, currency_code, decimals_refusal
from common.triggers import AmountFitsCurrency, ReportedInDryRun, Rule, SameHotel, refusal_sql
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


class Room(models.Model):
    """A room of a hotel. ``room_status`` has one writer: ``housekeeping.services.set_room_status``."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="rooms")
    room_number = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    room_type = models.ForeignKey(RoomType, on_delete=models.PROTECT, related_name="rooms")
    is_active = models.BooleanField(default=True, help_text="Untick a room that is no longer let.")

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
        ordering = ["hotel", "room_number"]
        permissions = permissions("rooms")
        constraints = [
            models.UniqueConstraint(fields=["hotel", "room_number"], name="room_number_unique"),
            models.CheckConstraint(condition=Q(room_number__gte=1), name="room_number_positive"),
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
            StatusAudited(name="room_status_audited"),
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
    def is_bookable(self) -> bool:
        """Clean, inspected, in service and without a fault: ready for a guest now."""
        return self.room_status == RoomStatus.READY_FOR_GUEST and self.is_active and not self.maintenance_required
