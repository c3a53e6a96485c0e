import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("room_bookings", "0010_folded_search"),
    ]

    operations = [
        migrations.CreateModel(
            name="PaymentRetry",
            fields=[
                (
                    "booking",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="payment_retry",
                        serialize=False,
                        to="room_bookings.roombooking",
                    ),
                ),
                ("failures", models.PositiveSmallIntegerField()),
                (
                    "last_error",
                    models.CharField(
                        help_text="The kind of the last failure; nothing of the guest's.", max_length=100
                    ),
                ),
                ("next_try_at", models.DateTimeField(null=True)),
                ("parked_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name_plural": "payment retries",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("failures__gte", 1)), name="payment_retry_has_failed"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("next_try_at__isnull", False), ("parked_at__isnull", True)),
                            models.Q(("next_try_at__isnull", True), ("parked_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="payment_retry_due_or_parked",
                    ),
                ],
            },
        ),
    ]
