from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hotel", "0011_day_ends_checked"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="UserSession",
            fields=[
                ("session_key", models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key")),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ("user_id", models.BigIntegerField(help_text="Null before the sign-in.", null=True)),
            ],
            options={
                "db_table": "django_session",
                "managed": False,
            },
        ),
        migrations.RunSQL(
            "ALTER TABLE django_session ADD COLUMN user_id bigint",
            "ALTER TABLE django_session DROP COLUMN user_id",
        ),
    ]
