"""Hotels and their staff."""

from datetime import time
from typing import Any
from zoneinfo import available_timezones

import pgtrigger
from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q, Value

from common import clock
from common.fields import LineField, not_blank
from common.search import Folded
from common.triggers import FixedField, ReportedInDryRun, Rule, SameHotel, refusal_sql
from hotel.rights import FRONT_OFFICE_MANAGER, HOTEL_MANAGER, HOUSEKEEPING_SUPERVISOR, permission
from hotel.sessions import SessionStore


def validate_timezone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(
            "%(name)s is not a timezone of the IANA database, such as Europe/Dublin.", params={"name": name}
        )


# The business day ends by noon, and before the next day's guests can check in: the date and the hour that decide about
# an arrival then always belong to the same day.
NOON = time(12, 0)
ENDS_AFTER_NOON = "The late arrival cutoff ends the business day: it can't be after noon."
ENDS_AFTER_ARRIVALS = (
    "The late arrival cutoff ends the business day: it can't be after the hour from which the next day's guests may "
    "check in."
)


# Channel names with these prefixes have a special meaning in Pusher.
RESERVED_SLUGS = r"^(cache|encrypted|presence|private)-"


class FeaturesOfRooms(Rule):
    """A hotel's list keeps every feature that one of its rooms has."""

    when = pgtrigger.After
    operation = pgtrigger.UpdateOf("room_features")

    def get_func(self, model: Any) -> str:
        return f"""
            IF EXISTS (
                SELECT FROM rooms_room room WHERE room.hotel_id = NEW.id AND NOT room.features <@ NEW.room_features
            ) THEN
                {refusal_sql(self.name, "a room has a feature that is not in the hotel list")}
            END IF;
            RETURN NULL;
        """


class Hotel(models.Model):
    """A hotel with its timezone and rules. Every rule about time uses the hotel's own timezone."""

    name = LineField(max_length=200)
    slug = models.SlugField(
        max_length=60,
        unique=True,
        help_text="Names the hotel in URLs and channels.",
        validators=[
            RegexValidator(
                RESERVED_SLUGS,
                "A slug may not begin with cache-, encrypted-, presence- or private-.",
                inverse_match=True,
            )
        ],
    )
    phone = LineField(max_length=40, blank=True)
    timezone = models.CharField(max_length=64, default="Europe/Dublin", validators=[validate_timezone])
    standard_checkout_time = models.TimeField(default=time(11, 0))
    late_checkout_grace_minutes = models.PositiveSmallIntegerField(default=30, validators=[MaxValueValidator(720)])
    approval_cutoff_time = models.TimeField(default=time(23, 0))
    approval_cutoff_day_offset = models.PositiveSmallIntegerField(default=0, choices=[(0, "same day"), (1, "next day")])
    check_in_time = models.TimeField(default=time(15, 0))
    early_checkin_from = models.TimeField(default=time(8, 0))
    late_arrival_cutoff = models.TimeField(
        default=time(2, 0),
        help_text="On the day after; the business day ends here. By noon, and not after the earliest check-in.",
    )
    allow_overbooking = models.BooleanField(default=False)
    require_complete_party = models.BooleanField(default=False)
    room_features = ArrayField(
        LineField(max_length=30),
        size=100,
        default=list,
        db_default=Value([], ArrayField(models.CharField())),
        blank=True,
        help_text="What rooms can have, separated by commas: balcony, bath, sea view.",
    )

    class Meta:
        ordering = [Folded("name")]
        constraints = [
            models.CheckConstraint(condition=~Q(slug__regex=RESERVED_SLUGS), name="hotel_slug_fits_channels"),
            models.CheckConstraint(condition=not_blank("name"), name="hotel_has_a_name"),
            models.CheckConstraint(
                condition=Q(approval_cutoff_day_offset__in=[0, 1]), name="hotel_approval_offset_0_or_1"
            ),
            models.CheckConstraint(
                condition=Q(late_arrival_cutoff__lte=NOON),
                name="hotel_day_ends_by_noon",
                violation_error_message=ENDS_AFTER_NOON,
            ),
            models.CheckConstraint(
                condition=Q(late_arrival_cutoff__lte=F("early_checkin_from")),
                name="hotel_day_ends_before_arrivals",
                violation_error_message=ENDS_AFTER_ARRIVALS,
            ),
        ]
        triggers = [
            FixedField(name="hotel_slug_fixed", field="slug"),
            FeaturesOfRooms(name="hotel_has_features_of_rooms"),
            ReportedInDryRun(name="hotel_in_dry_run"),
        ]

    def __str__(self) -> str:
        return self.name


class Staff(models.Model):
    """A member of one hotel's staff. Deactivated, never deleted, because the audit log names them."""

    class Department(models.TextChoices):
        FRONT_OFFICE = "front_office", "Front office"
        HOUSEKEEPING = "housekeeping", "Housekeeping"
        MAINTENANCE = "maintenance", "Maintenance"
        MANAGEMENT = "management", "Management"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="staff_profile")
    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="staff")
    department = models.CharField(max_length=20, choices=Department)
    role = models.ForeignKey(
        Group,
        on_delete=models.PROTECT,
        related_name="staff_members",
        help_text="The group whose rights this member holds; more can be given on the user.",
    )
    phone_number = LineField(max_length=40, blank=True)
    is_active = models.BooleanField(default=True, help_text="Untick to lock this member out at once.")
    is_on_duty = models.BooleanField(default=False)

    class Meta:
        verbose_name = "staff member"
        ordering = ["hotel", Folded("user__last_name"), Folded("user__first_name"), "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(department__in=["front_office", "housekeeping", "maintenance", "management"]),
                name="staff_department_known",
            ),
        ]
        triggers = [SameHotel(name="staff_one_hotel", links={})]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name shown to colleagues and in the audit log."""
        return self.user.get_full_name() or self.user.get_username()

    @property
    def access_level(self) -> str:
        """Seniority as older clients name it; the server checks rights only."""
        if self.user.is_superuser or self.role.name == HOTEL_MANAGER:
            return "super_staff_admin"
        if self.role.name in (FRONT_OFFICE_MANAGER, HOUSEKEEPING_SUPERVISOR):
            return "staff_admin"
        return "regular_staff"

    def can(self, right: str) -> bool:
        """Whether this member holds ``right``, such as ``rooms.inspect``; an inactive one holds none."""
        return self.is_active and self.user.has_perm(permission(right))


class UserSession(AbstractBaseSession):
    """A row of Django's ``django_session``, to which migration 0012 adds the user."""

    user_id = models.BigIntegerField(null=True, help_text="Null before the sign-in.")

    class Meta:
        managed = False  # django.contrib.sessions creates the table
        db_table = "django_session"

    @classmethod
    def get_session_store_class(cls) -> Any:
        return SessionStore


class IdempotentAnswer(models.Model):
    """The response to a request with an ``Idempotency-Key``, kept for a day for retries."""

    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of address and body.")
    status = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["staff", "key"], name="idempotent_answer_key_unique")]

    def __str__(self) -> str:
        return f"{self.fingerprint[:8]}: {self.status}"
