"""Nobody's user name differs from another's in capitals and small letters only: people sign in by it in any case."""

from django.conf import settings
from django.core.management import CommandError
from django.db import migrations
from django.db.models import Count, Max, Min
from django.db.models.functions import Upper


def stop_at_doubles(apps, schema_editor):
    """Which of two users a name would mean nobody but their superuser can say."""
    users = apps.get_model(settings.AUTH_USER_MODEL).objects.using(schema_editor.connection.alias)
    doubles = (
        users.order_by()
        .annotate(any_case=Upper('username'))
        .values('any_case')
        .annotate(number=Count('pk'), one=Min('username'), another=Max('username'))
        .filter(number__gt=1)
        .order_by('any_case')
    )
    if names := [f"{double['one']} and {double['another']}" for double in doubles]:
        raise CommandError(
            'User names differ in capitals and small letters only, and from this release on people sign in by theirs in '
            f"any case: {', '.join(names)}. Rename all but one of each (in the admin, under Users), then migrate again. "
            'Nothing has been changed.'
        )


class Migration(migrations.Migration):
    atomic = False  # an index that keeps nobody from signing in meanwhile

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('hotel', '0004_slug_fixed'),
    ]

    operations = [
        migrations.RunPython(stop_at_doubles, migrations.RunPython.noop),
        migrations.RunSQL(
            [
                # What an interrupted run has left.
                'DROP INDEX CONCURRENTLY IF EXISTS auth_user_username_in_any_case',
                'CREATE UNIQUE INDEX CONCURRENTLY auth_user_username_in_any_case ON auth_user (upper(username))',
            ],
            ['DROP INDEX CONCURRENTLY IF EXISTS auth_user_username_in_any_case'],
        ),
    ]
