"""Operations of migrations that run while the hotels work (docs/deployment.md, "Writing a migration")."""

from typing import Any

from django.contrib.postgres import operations


class AddIndexConcurrently(operations.AddIndexConcurrently):
    """Django's, and it can be run again after it was interrupted.

    That leaves an invalid index, which is replaced. A valid one of this name stays: the migration was interrupted
    later.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:  # as sqlmigrate does
            name = schema_editor.quote_name(self.index.name)
            with schema_editor.connection.cursor() as cursor:
                cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
                left = cursor.fetchone()
            if left == (True,):
                return
            if left:
                schema_editor.execute(f"DROP INDEX CONCURRENTLY {name}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)
