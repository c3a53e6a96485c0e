"""Expecting the database to refuse something, at once or when the transaction ends."""

from django.db import IntegrityError, connection, transaction


def settle() -> None:
    """Let the deferred rules speak now, as at a commit."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


class Refused:
    """Runs the block in a transaction up to its end, where deferred rules speak, and expects ``rule`` to refuse it."""

    def __init__(self, rule: str, message: str):
        self.rule, self.message = rule, message

    def __enter__(self):
        settle()  # what the test set up is over and done with
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        return self

    def __exit__(self, kind, error, traceback):
        if error is None:
            try:
                settle()
            except IntegrityError as late:
                kind, error, traceback = type(late), late, late.__traceback__
        transaction.set_rollback(True)
        self.savepoint.__exit__(kind, error, traceback)
        assert isinstance(error, IntegrityError), f"{self.rule} let it pass"
        assert error.__cause__.diag.constraint_name == self.rule
        assert error.__cause__.diag.message_primary == self.message
        return True
