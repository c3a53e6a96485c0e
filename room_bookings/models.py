"""Bookings and the guests of their party, and what the database guarantees about both."""

from decimal import Decimal

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Case, F, Func, Q, Value, When

from common import clock
from common.triggers import SameHotel
from hotel.models import Hotel, Staff
from hotel.rights import permissions
from rooms.models import Room, RoomType, currency_code


class BookingStatus(models.TextChoices):
    """The life of a booking (contract section 6)."""

    PENDING_PAYMENT = "PENDING_PAYMENT", "Pending payment"
    PENDING_APPROVAL = "PENDING_APPROVAL", "Pending approval"
    CONFIRMED = "CONFIRMED", "Confirmed"
    IN_HOUSE = "IN_HOUSE", "In house"
    COMPLETED = "COMPLETED", "Completed"
    DECLINED = "DECLINED", "Declined"
    CANCELLED = "CANCELLED", "Cancelled"
    CANCELLED_DRAFT = "CANCELLED_DRAFT", "Cancelled draft"
    EXPIRED = "EXPIRED", "Expired"
    NO_SHOW = "NO_SHOW", "No-show"


# A booking in one of these holds its room for its nights.
ACTIVE_STATUSES = (BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE)

# The nights of a stay: the departure day is free again, but day use (in and out on one day) takes that day.
NIGHTS = Func(
    F("check_in"),
    F("check_out"),
    Case(When(check_in=F("check_out"), then=Value("[]")), default=Value("[)")),
    function="daterange",
    output_field=DateRangeField(),
)


class RoomBooking(models.Model):
    """One stay of one party in one room, from the request to the departure."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="bookings")
    booking_id = models.CharField("reference", max_length=24, unique=True, help_text="Such as BK-2026-0005.")
    confirmation_number = models.CharField(max_length=24, blank=True)
    status = models.CharField(max_length=16, choices=BookingStatus, default=BookingStatus.CONFIRMED)
    version = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    check_in = models.DateField("arrival")
    check_out = models.DateField("departure")
    adults = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    children = models.PositiveSmallIntegerField(default=0)
    room_type = models.ForeignKey(RoomType, on_delete=models.PROTECT, related_name="bookings")

    primary_first_name = models.CharField(max_length=100)
    primary_last_name = models.CharField(max_length=100)
    primary_email = models.EmailField(blank=True)
    primary_phone = models.CharField(max_length=40, blank=True)
    booker_type = models.CharField(
        max_length=20,
        default="SELF",
        choices=[("SELF", "the guest"), ("THIRD_PARTY", "somebody else"), ("COMPANY", "a company")],
    )
    booker_first_name = models.CharField(max_length=100, blank=True)
    booker_last_name = models.CharField(max_length=100, blank=True)
    booker_company = models.CharField(max_length=200, blank=True)
    booker_email = models.EmailField(blank=True)
    booker_phone = models.CharField(max_length=40, blank=True)
    special_requests = models.TextField(blank=True)
    internal_notes = models.TextField(blank=True)

    total_amount = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )
    currency = models.CharField(max_length=3, default="EUR", validators=[currency_code])
    payment_provider = models.CharField(max_length=20, blank=True)
    payment_reference = models.CharField(max_length=255, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)

    assigned_room = models.ForeignKey(Room, on_delete=models.PROTECT, null=True, blank=True, related_name="bookings")
    room_assigned_at = models.DateTimeField(null=True, blank=True)
    room_assigned_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    assignment_notes = models.TextField(blank=True)
    checked_in_at = models.DateTimeField(null=True, blank=True)
    checked_out_at = models.DateTimeField(null=True, blank=True)
    room_moved_at = models.DateTimeField(null=True, blank=True)

    staff_seen_at = models.DateTimeField(null=True, blank=True)
    staff_seen_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    approval_deadline_at = models.DateTimeField(null=True, blank=True)
    decision_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    decline_reason_code = models.CharField(max_length=50, blank=True)
    decline_reason_note = models.TextField(blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    cancellation_reason = models.TextField(blank=True)
    expired_at = models.DateTimeField(null=True, blank=True)
    auto_expire_reason_code = models.CharField(max_length=50, blank=True)
    overstay_flagged_at = models.DateTimeField(null=True, blank=True)
    overstay_acknowledged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        permissions = permissions("bookings")
        constraints = [
            models.CheckConstraint(condition=Q(status__in=BookingStatus.values), name="room_booking_status_known"),
            models.CheckConstraint(
                condition=Q(check_out__gte=F("check_in")), name="room_booking_leaves_after_arriving"
            ),
            models.CheckConstraint(condition=Q(adults__gte=1), name="room_booking_has_an_adult"),
            models.CheckConstraint(
                condition=Q(status=BookingStatus.IN_HOUSE, checked_in_at__isnull=False, checked_out_at__isnull=True)
                | ~Q(status=BookingStatus.IN_HOUSE) & (Q(checked_in_at__isnull=True) | Q(checked_out_at__isnull=False)),
                name="room_booking_in_house_iff_checked_in",
            ),
            models.CheckConstraint(
                condition=Q(checked_out_at__isnull=True) | Q(checked_in_at__isnull=False),
                name="room_booking_out_only_after_in",
            ),
            models.CheckConstraint(
                condition=~Q(status=BookingStatus.IN_HOUSE) | Q(assigned_room__isnull=False),
                name="room_booking_in_house_has_room",
            ),
            models.UniqueConstraint(
                fields=["assigned_room"],
                condition=Q(status=BookingStatus.IN_HOUSE),
                name="room_booking_one_in_house_per_room",
            ),
            ExclusionConstraint(
                name="room_booking_no_overlap",
                expressions=[(F("assigned_room"), RangeOperators.EQUAL), (NIGHTS, RangeOperators.OVERLAPS)],
                condition=Q(status__in=ACTIVE_STATUSES, assigned_room__isnull=False),
            ),
        ]
        triggers = [
            SameHotel(
                name="room_booking_one_hotel",
                links={
                    "room_type": "rooms_roomtype",
                    "assigned_room": "rooms_room",
                    "room_assigned_by": "hotel_staff",
                    "staff_seen_by": "hotel_staff",
                    "decided_by": "hotel_staff",
                    "cancelled_by": "hotel_staff",
                },
            )
        ]

    def __str__(self) -> str:
        return self.booking_id


class BookingGuest(models.Model):
    """A companion of the primary guest, whose own name is on the booking."""

    booking = models.ForeignKey(RoomBooking, on_delete=models.CASCADE, related_name="companions")
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"
