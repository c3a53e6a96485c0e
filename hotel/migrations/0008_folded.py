from django.contrib.postgres.operations import UnaccentExtension
from django.db import migrations

from common.search import Folded


# In PL/pgSQL, which takes half as long as SQL for so short a function. Its body names the schema of what it calls, so
# that no search path matters: neither a restore nor the rebuilding of an index has one.
FOLDED = """
    DO $do$ BEGIN
        EXECUTE format(
            $sql$
            CREATE FUNCTION hotelmate_folded(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
            AS $body$ BEGIN RETURN lower(%1$I.unaccent('%1$I.unaccent'::regdictionary, value)); END $body$
            $sql$,
            (SELECT extnamespace::regnamespace::name FROM pg_extension WHERE extname = 'unaccent')
        );
    END $do$
"""


class Migration(migrations.Migration):
    """The function behind ``common.search.Folded``.

    PostgreSQL declares ``unaccent`` stable, as an administrator may edit its rules; an index needs an immutable function.
    """

    dependencies = [
        ("hotel", "0007_named_checked"),
    ]

    operations = [
        UnaccentExtension(),
        migrations.RunSQL(FOLDED, "DROP FUNCTION hotelmate_folded(text)"),
        migrations.AlterModelOptions(name="hotel", options={"ordering": [Folded("name")]}),
        migrations.AlterModelOptions(
            name="staff",
            options={
                "ordering": ["hotel", Folded("user__last_name"), Folded("user__first_name"), "pk"],
                "verbose_name": "staff member",
            },
        ),
    ]
