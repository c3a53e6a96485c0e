"""Bookings, their parties and history, and the database constraints on them."""

import hashlib
from decimal import Decimal

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q, TextField, Value

from common import clock
from common.fields import LineField, LinesField, MailField, not_blank
from common.money import MOST_DECIMALS, currency_code
from common.search import Folded
from common.triggers import (
    AmountFitsCurrency,
    ClaimedOnce,
    ClaimsKept,
    ClaimsTrue,
    NeverChanged,
    NightsTaken,
    ReportedInDryRun,
    SameHotel,
)
from hotel.models import Hotel, Staff
from hotel.rights import permissions
from rooms.models import NIGHTS_OF_BLOCK, Room, RoomBlock, RoomType


class BookingStatus(models.TextChoices):
    """The statuses of a booking (docs/api.md, Bookings).

    PENDING_PAYMENT is an unpaid draft made by a guest on a website that writes to this database. HotelMate has no such
    website and creates no drafts: staff bookings start as CONFIRMED or PENDING_APPROVAL. It supports existing drafts:
    they are hidden from lists, can be confirmed by their booking reference, and are dropped (CANCELLED_DRAFT) after a
    day (``services.expire.drop_drafts``).
    """

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


class BookerType(models.TextChoices):
    """The person or company that made the booking (``services.booker``)."""

    SELF = "SELF", "the guest"
    THIRD_PARTY = "THIRD_PARTY", "somebody else"
    COMPANY = "COMPANY", "a company"


def hash_token(token: str) -> str:
    """The hash under which a guest's access token is stored; an unsalted hash suffices, as tokens are random."""
    return hashlib.sha256(token.encode()).hexdigest()


# In these statuses a booking holds its room for its nights.
ACTIVE_STATUSES = (BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE)
# In these final statuses a booking has released its room. (A completed one keeps it as the room of the stay.)
ROOMLESS_STATUSES = (
    BookingStatus.DECLINED,
    BookingStatus.CANCELLED,
    BookingStatus.CANCELLED_DRAFT,
    BookingStatus.EXPIRED,
    BookingStatus.NO_SHOW,
)
# Not shown to staff: the guest has not finished booking.
DRAFT_STATUSES = (BookingStatus.PENDING_PAYMENT, BookingStatus.CANCELLED_DRAFT)

STRIPE = "stripe"


class PaymentState(models.TextChoices):
    """The state of a card payment. The …ING states are recorded before the provider is called (room_bookings.payments):
    code that finds one later looks up the payment at the provider."""

    AUTHORISED = "AUTHORISED", "Authorised"
    CAPTURING = "CAPTURING", "Being captured"
    CAPTURED = "CAPTURED", "Captured"
    VOIDING = "VOIDING", "Being voided"
    VOIDED = "VOIDED", "Voided"
    REFUNDING = "REFUNDING", "Being refunded"
    REFUNDED = "REFUNDED", "Refunded"


IN_FLIGHT_PAYMENTS = (PaymentState.CAPTURING, PaymentState.VOIDING, PaymentState.REFUNDING)

# The nights for which a booking holds its room: the departure day is free again, but day use (in and out on one day)
# takes that day. A guest who arrives early holds the room from that day. (Tonight of an overdue guest is not stored:
# ``inventory.nights_held`` computes it.)
NIGHTS_OF_BOOKING = NightsTaken(
    owner="booking_id",
    table="room_bookings_roombooking",
    condition="{row}.status IN ('CONFIRMED', 'IN_HOUSE') AND {row}.assigned_room_id IS NOT NULL",
    room="assigned_room_id",
    nights=(
        "daterange(least({row}.check_in, {row}.arrived_on), {row}.check_out, "
        "CASE WHEN {row}.check_in = {row}.check_out THEN '[]' ELSE '[)' END)"
    ),
    columns=("status", "assigned_room_id", "check_in", "check_out", "arrived_on"),
)


def spaced(*columns: str | Func) -> Func:
    """The text of ``columns``, joined by spaces. (Concat's COALESCE would only lengthen the index definitions.)"""
    parts = [part for column in columns for part in (Value(" "), F(column) if isinstance(column, str) else column)][1:]
    return Func(*parts, arg_joiner=" || ", template="(%(expressions)s)", output_field=TextField())


# The characters that people write between the digits of a telephone number.
PHONE_PUNCTUATION = " +-()./,\u00a0\u2010\u2011\u2013"


def digits(phone: str) -> Func:
    """The telephone number in the column ``phone`` without spaces and punctuation."""
    return Func(F(phone), Value(PHONE_PUNCTUATION), Value(""), function="translate", output_field=TextField())


# The text by which the booking list sorts and searches. Search words contain no spaces, so none matches across columns.
GUEST_NAME = Folded(spaced("primary_first_name", "primary_last_name"))
SEARCHED_TEXT = spaced(
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
COMPANION_TEXT = spaced("first_name", "last_name", "email", "phone", digits("phone"))


class RoomBooking(models.Model):
    """One party's stay in one room, from the request to the departure."""

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
    extra_beds = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Guests beyond what the room sleeps, let in by a supervisor."
    )
    room_type = models.ForeignKey(RoomType, on_delete=models.PROTECT, related_name="bookings")

    primary_first_name = LineField(max_length=100)
    primary_last_name = LineField(max_length=100)
    primary_email = MailField(blank=True)
    primary_phone = LineField(max_length=40, blank=True)
    booker_type = models.CharField(max_length=20, default=BookerType.SELF, choices=BookerType)
    booker_first_name = LineField(max_length=100, blank=True)
    booker_last_name = LineField(max_length=100, blank=True)
    booker_company = LineField(max_length=200, blank=True)
    booker_email = MailField(blank=True)
    booker_phone = LineField(max_length=40, blank=True)
    special_requests = LinesField(blank=True)
    internal_notes = LinesField(blank=True)

    total_amount = models.DecimalField(
        max_digits=14, decimal_places=MOST_DECIMALS, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )
    currency = models.CharField(max_length=3, default="EUR", validators=[currency_code])
    payment_provider = models.CharField(max_length=20, blank=True, choices=[(STRIPE, "Stripe")])
    payment_reference = LineField(max_length=255, blank=True, help_text="The provider's id, such as pi_…")
    payment_state = models.CharField(max_length=10, blank=True, choices=PaymentState)
    payment_attempt = models.PositiveIntegerField(default=0, help_text="Part of the key that makes a retry safe.")
    payment_requested_at = models.DateTimeField(null=True, blank=True)
    payment_requested_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    paid_at = models.DateTimeField(null=True, blank=True)
    guest_token_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the guest's access token.")

    assigned_room = models.ForeignKey(Room, on_delete=models.PROTECT, null=True, blank=True, related_name="bookings")
    room_assigned_at = models.DateTimeField(null=True, blank=True)
    room_assigned_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    assignment_notes = LinesField(blank=True)
    checked_in_at = models.DateTimeField(null=True, blank=True)
    arrived_on = models.DateField(null=True, blank=True, help_text="The business day of the check-in.")
    checked_out_at = models.DateTimeField(null=True, blank=True)
    room_moved_at = models.DateTimeField(null=True, blank=True)

    staff_seen_at = models.DateTimeField(null=True, blank=True)
    staff_seen_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    approval_deadline_at = models.DateTimeField(null=True, blank=True)
    decision_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    decline_reason_code = LineField(max_length=50, blank=True)
    decline_reason_note = LinesField(blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    cancellation_reason = LinesField(blank=True)
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
                condition=Q(
                    booker_type=BookerType.SELF,
                    booker_first_name="",
                    booker_last_name="",
                    booker_email="",
                    booker_phone="",
                )
                | Q(booker_type=BookerType.THIRD_PARTY) & not_blank("booker_first_name", "booker_last_name")
                | Q(booker_type=BookerType.COMPANY) & not_blank("booker_company"),
                name="room_booking_booker_named",
            ),
            models.CheckConstraint(
                condition=not_blank("primary_first_name", "primary_last_name"), name="room_booking_guest_has_a_name"
            ),
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
            models.CheckConstraint(
                condition=~Q(status__in=ROOMLESS_STATUSES) | Q(assigned_room__isnull=True),
                name="room_booking_ended_keeps_no_room",
            ),
            models.CheckConstraint(
                condition=Q(status=BookingStatus.COMPLETED, checked_out_at__isnull=False)
                | Q(status=BookingStatus.CANCELLED)
                | Q(checked_out_at__isnull=True) & ~Q(status=BookingStatus.COMPLETED),
                name="room_booking_completed_iff_out",
            ),
            models.CheckConstraint(
                condition=Q(checked_out_at__isnull=True) | Q(checked_out_at__gte=F("checked_in_at")),
                name="room_booking_out_not_before_in",
            ),
            models.CheckConstraint(
                condition=Q(status=BookingStatus.CANCELLED, cancelled_at__isnull=False)
                | ~Q(status=BookingStatus.CANCELLED) & Q(cancelled_at__isnull=True),
                name="room_booking_cancelled_iff_time",
            ),
            models.CheckConstraint(
                condition=Q(status=BookingStatus.EXPIRED, expired_at__isnull=False)
                | ~Q(status=BookingStatus.EXPIRED) & Q(expired_at__isnull=True),
                name="room_booking_expired_iff_time",
            ),
            models.CheckConstraint(
                condition=Q(payment_provider="", payment_state="")
                | Q(payment_provider=STRIPE, payment_state__in=PaymentState.values) & ~Q(payment_reference=""),
                name="room_booking_payment_known",
            ),
            models.CheckConstraint(
                condition=~Q(payment_state=PaymentState.CAPTURED) | Q(paid_at__isnull=False),
                name="room_booking_captured_is_paid",
            ),
            models.CheckConstraint(
                condition=Q(total_amount__isnull=True) | Q(total_amount__gte=0),
                name="room_booking_amount_not_negative",
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="room_booking_currency_is_a_code"),
            models.UniqueConstraint(
                fields=["payment_provider", "payment_reference"],
                condition=~Q(payment_provider=""),
                name="room_booking_payment_unique",
            ),
            models.UniqueConstraint(
                fields=["guest_token_hash"], condition=~Q(guest_token_hash=""), name="room_booking_token_unique"
            ),
            models.UniqueConstraint(
                fields=["assigned_room"],
                condition=Q(status=BookingStatus.IN_HOUSE),
                name="room_booking_one_in_house_per_room",
            ),
        ]
        indexes = [
            models.Index(fields=["hotel", "-created_at", "-id"], name="room_booking_by_creation"),
            # Covers all columns that the bucket counts read, so that they need no table access.
            models.Index(
                fields=["hotel", "status", "check_in"],
                include=["check_out", "checked_out_at"],
                name="room_booking_by_arrival",
            ),
            models.Index(
                fields=["room_type", "check_out"],
                name="room_booking_sold",
                condition=Q(status__in=ACTIVE_STATUSES),
            ),
            models.Index(
                fields=["assigned_room", "check_out"],
                name="room_booking_holding",
                condition=Q(status__in=ACTIVE_STATUSES, assigned_room__isnull=False),
            ),
            models.Index(
                fields=["approval_deadline_at"],
                name="room_booking_to_approve",
                condition=Q(status=BookingStatus.PENDING_APPROVAL),
            ),
            models.Index(
                fields=["created_at"],
                name="room_booking_draft",
                condition=Q(status=BookingStatus.PENDING_PAYMENT),
            ),
            models.Index(
                fields=["hotel", "check_out"],
                name="room_booking_to_flag",
                condition=Q(status=BookingStatus.IN_HOUSE, overstay_flagged_at=None),
            ),
            models.Index(
                fields=["payment_requested_at"],
                name="room_booking_payment_in_flight",
                condition=Q(payment_state__in=IN_FLIGHT_PAYMENTS),
            ),
            models.Index(F("hotel"), GUEST_NAME, F("id"), name="room_booking_by_name"),
            GinIndex(OpClass(Folded(SEARCHED_TEXT), name="gin_trgm_ops"), name="room_booking_words"),
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
                    "payment_requested_by": "hotel_staff",
                },
            ),
            AmountFitsCurrency(name="room_booking_amount_fits_currency", amount="total_amount"),
            ClaimsKept(name="room_booking_claims_kept", taken=NIGHTS_OF_BOOKING),
            ReportedInDryRun(name="room_booking_in_dry_run"),
        ]

    def __str__(self) -> str:
        return self.booking_id


class RoomClaim(models.Model):
    """Nights of one room that are taken. Written by triggers alone (docs/decisions/0013-claims.md).

    A booking that holds a room has one claim. Later a stay may have several, in one room after the other. A block that
    takes its room off sale has one.
    """

    # No sequence: a dry run would leave a gap in it.
    id = models.UUIDField(primary_key=True, db_default=RandomUUID(), editable=False)
    booking = models.ForeignKey(  # the booking's trigger deletes its claims
        RoomBooking, on_delete=models.DO_NOTHING, null=True, related_name="claims"
    )
    block = models.ForeignKey(RoomBlock, on_delete=models.PROTECT, null=True, related_name="claims", db_index=False)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="claims", db_index=False)
    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    nights = DateRangeField(help_text="From the first night to before the day on which the room is free again.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(nights__isempty=False), name="room_claim_has_a_night"),
            models.CheckConstraint(
                condition=Q(booking__isnull=False, block=None) | Q(booking=None, block__isnull=False),
                name="room_claim_has_one_owner",
            ),
            ExclusionConstraint(
                name="room_claim_no_overlap",
                expressions=[("room", RangeOperators.EQUAL), ("nights", RangeOperators.OVERLAPS)],
            ),
        ]
        indexes = [
            models.Index(fields=["block"], name="room_claim_of_block", condition=Q(block__isnull=False)),
        ]
        triggers = [
            ClaimedOnce(name="room_claim_once", owners=("booking_id", "block_id")),
            ClaimsTrue(name="room_claim_of_booking", taken=NIGHTS_OF_BOOKING),
            ClaimsTrue(name="room_claim_of_block", taken=NIGHTS_OF_BLOCK),
        ]

    def __str__(self) -> str:
        return f"{self.room}: {self.nights}"


class PaymentRetry(models.Model):
    """The failed attempts of the payment sweep to settle a card payment, and its next try; a parked payment is not
    retried until staff request it. Exists only while a payment request is in progress."""

    booking = models.OneToOneField(
        RoomBooking, on_delete=models.PROTECT, primary_key=True, related_name="payment_retry"
    )
    failures = models.PositiveSmallIntegerField()
    last_error = models.CharField(max_length=100, help_text="The kind of the last failure; nothing of the guest's.")
    next_try_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "payment retries"
        constraints = [
            models.CheckConstraint(condition=Q(failures__gte=1), name="payment_retry_has_failed"),
            models.CheckConstraint(
                condition=Q(parked_at__isnull=True, next_try_at__isnull=False)
                | Q(parked_at__isnull=False, next_try_at__isnull=True),
                name="payment_retry_due_or_parked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking}: {self.failures} tries"


class BookingGuest(models.Model):
    """A companion of the primary guest; the primary guest's name is stored on the booking."""

    booking = models.ForeignKey(RoomBooking, on_delete=models.CASCADE, related_name="companions")
    first_name = LineField(max_length=100)
    last_name = LineField(max_length=100)
    email = MailField(blank=True)
    phone = LineField(max_length=40, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=not_blank("first_name", "last_name"), name="booking_guest_has_a_name"),
        ]
        indexes = [GinIndex(OpClass(Folded(COMPANION_TEXT), name="gin_trgm_ops"), name="booking_guest_words")]
        triggers = [ReportedInDryRun(name="booking_guest_in_dry_run")]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"


class ReferenceCounter(models.Model):
    """The last booking number of a year, across all hotels: ``BK-2026-0005`` is number 5 of 2026."""

    year = models.PositiveSmallIntegerField(primary_key=True)
    last_number = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"BK-{self.year}-{self.last_number:04d}"


class BookingAction(models.TextChoices):
    """The booking actions recorded in the history."""

    CREATED = "CREATED", "Created"
    EDITED = "EDITED", "Edited"
    CONFIRMED = "CONFIRMED", "Confirmed"
    APPROVED = "APPROVED", "Approved"
    DECLINED = "DECLINED", "Declined"
    CANCELLED = "CANCELLED", "Cancelled"
    REINSTATED = "REINSTATED", "Reinstated"
    ASSIGNED = "ASSIGNED", "Room assigned"
    UNASSIGNED = "UNASSIGNED", "Room unassigned"
    CHECKED_IN = "CHECKED_IN", "Checked in"
    CHECK_IN_UNDONE = "CHECK_IN_UNDONE", "Check-in undone"
    CHECKED_OUT = "CHECKED_OUT", "Checked out"
    CHECK_OUT_UNDONE = "CHECK_OUT_UNDONE", "Check-out undone"
    MOVED = "MOVED", "Moved to another room"
    NO_SHOW = "NO_SHOW", "Did not arrive"
    EXTENDED = "EXTENDED", "Stay extended"
    EXPIRED = "EXPIRED", "Expired"
    DRAFT_DROPPED = "DRAFT_DROPPED", "Unfinished booking dropped"  # see BookingStatus on drafts
    OVERRIDDEN = "OVERRIDDEN", "Limit overridden"


class BookingChange(models.Model):
    """A booking's history row: action, staff member, time, reason and rooms. Append-only."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    booking = models.ForeignKey(RoomBooking, on_delete=models.PROTECT, related_name="changes")
    action = models.CharField(max_length=16, choices=BookingAction)
    from_status = models.CharField(max_length=16, choices=BookingStatus, blank=True)
    to_status = models.CharField(max_length=16, choices=BookingStatus)
    from_room = models.ForeignKey(Room, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    to_room = models.ForeignKey(Room, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    is_upgrade = models.BooleanField(default=False, help_text="The room is of another type than booked or before.")
    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    reason = LinesField(blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(action__in=BookingAction.values), name="booking_change_action_known"),
        ]
        triggers = [
            NeverChanged(name="booking_change_never_changed"),
            SameHotel(
                name="booking_change_one_hotel",
                links={
                    "booking": "room_bookings_roombooking",
                    "from_room": "rooms_room",
                    "to_room": "rooms_room",
                    "staff": "hotel_staff",
                },
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id}: {self.get_action_display()}"


class OverstayStatus(models.TextChoices):
    OPEN = "OPEN", "Open"
    ACKED = "ACKED", "Acknowledged"
    RESOLVED = "RESOLVED", "Resolved"
    DISMISSED = "DISMISSED", "Dismissed"


class OverstayIncident(models.Model):
    """A stay past the checkout time and its grace; one for each missed departure date."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+")
    booking = models.ForeignKey(RoomBooking, on_delete=models.PROTECT, related_name="overstays", db_index=False)
    status = models.CharField(max_length=10, choices=OverstayStatus, default=OverstayStatus.OPEN)
    expected_checkout_date = models.DateField()
    detected_at = models.DateTimeField(default=clock.now)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    note = LinesField(blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["booking", "expected_checkout_date"], name="overstay_once_per_departure"),
            models.CheckConstraint(
                condition=Q(status=OverstayStatus.OPEN, acknowledged_at=None, resolved_at=None)
                | Q(status__in=[OverstayStatus.ACKED, OverstayStatus.DISMISSED], acknowledged_at__isnull=False)
                & Q(resolved_at=None)
                | Q(status=OverstayStatus.RESOLVED, resolved_at__isnull=False),
                name="overstay_status_agrees_with_times",
            ),
        ]
        triggers = [
            SameHotel(
                name="overstay_one_hotel",
                links={"booking": "room_bookings_roombooking", "acknowledged_by": "hotel_staff"},
            )
        ]

    def __str__(self) -> str:
        return f"{self.booking}: due out {self.expected_checkout_date}"


class BookingExtension(models.Model):
    """Nights added to a stay in house."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+")
    booking = models.ForeignKey(RoomBooking, on_delete=models.PROTECT, related_name="extensions")
    old_check_out = models.DateField()
    new_check_out = models.DateField()
    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(new_check_out__gt=F("old_check_out")), name="booking_extension_adds_nights"
            ),
        ]
        triggers = [
            NeverChanged(name="booking_extension_never_changed"),
            SameHotel(
                name="booking_extension_one_hotel",
                links={"booking": "room_bookings_roombooking", "staff": "hotel_staff"},
            ),
        ]

    def __str__(self) -> str:
        return f"{self.booking}: {self.old_check_out} → {self.new_check_out}"


class Overbooking(models.Model):
    """Nights of a room type that were knowingly oversold: by a booking or by taking a room away, with the staff member
    and reason. Append-only.

    Without booking and room: the overbooking that existed when the hotel stopped allowing it (``allow_overbooking``).
    """

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    room_type = models.ForeignKey(RoomType, on_delete=models.PROTECT, related_name="+")
    booking = models.ForeignKey(
        RoomBooking, on_delete=models.PROTECT, null=True, blank=True, related_name="overbookings"
    )
    room = models.ForeignKey(Room, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    first_night = models.DateField()
    free_from = models.DateField(help_text="The day after the last night.")
    rooms = models.PositiveSmallIntegerField(default=1, help_text="How many rooms too many.")
    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    reason = LinesField(blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(free_from__gt=F("first_night")), name="overbooking_has_a_night"),
            models.CheckConstraint(condition=Q(rooms__gte=1), name="overbooking_of_a_room"),
            models.CheckConstraint(
                condition=Q(booking__isnull=True) | Q(room__isnull=True), name="overbooking_has_one_cause"
            ),
        ]
        triggers = [
            NeverChanged(name="overbooking_never_changed"),
            SameHotel(
                name="overbooking_one_hotel",
                links={
                    "room_type": "rooms_roomtype",
                    "booking": "room_bookings_roombooking",
                    "room": "rooms_room",
                    "staff": "hotel_staff",
                },
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_night} to {self.free_from}"
