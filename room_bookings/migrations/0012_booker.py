from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("room_bookings", "0011_payment_retries"),
    ]

    operations = [
        AddConstraintNotValid(
            model_name="roombooking",
            constraint=models.CheckConstraint(
                condition=Q(
                    booker_type="SELF",
                    booker_first_name="",
                    booker_last_name="",
                    booker_email="",
                    booker_phone="",
                )
                | Q(booker_type="THIRD_PARTY") & Q(booker_first_name__regex=r"\S", booker_last_name__regex=r"\S")
                | Q(booker_type="COMPANY") & Q(booker_company__regex=r"\S"),
                name="room_booking_booker_named",
            ),
        ),
    ]
