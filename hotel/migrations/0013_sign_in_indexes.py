from django.db import migrations


class Migration(migrations.Migration):
    """Indexes on tables of Django and knox: to end a user's sessions, and to delete expired tokens.

    An interrupted run may have left an invalid index, which is replaced.
    """

    atomic = False

    dependencies = [
        ("hotel", "0012_session_user"),
        ("knox", "0009_extend_authtoken_field"),
    ]

    operations = [
        migrations.RunSQL(
            [
                "DROP INDEX CONCURRENTLY IF EXISTS django_session_user",
                "CREATE INDEX CONCURRENTLY django_session_user ON django_session (user_id)",
            ],
            "DROP INDEX CONCURRENTLY django_session_user",
        ),
        migrations.RunSQL(
            [
                "DROP INDEX CONCURRENTLY IF EXISTS knox_authtoken_expiry",
                "CREATE INDEX CONCURRENTLY knox_authtoken_expiry ON knox_authtoken (expiry)",
            ],
            "DROP INDEX CONCURRENTLY knox_authtoken_expiry",
        ),
    ]
