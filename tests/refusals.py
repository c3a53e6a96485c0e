"""Assertions that the database rejects a write, either immediately or at commit."""

from django.db import IntegrityError, connection, transaction


def check_deferred_constraints() -> None:
    """Run the deferred constraints now, as a commit would."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


class Refused:
    """Run the block, check deferred constraints as at commit, and expect the constraint ``rule`` to reject it."""

    def __init__(self, rule: str, message: str):
        self.rule, self.message = rule, message

    def __enter__(self):
        check_deferred_constraints()  # check the test's own set-up first
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        return self

    def __exit__(self, kind, error, traceback):
        if error is None:
            try:
                check_deferred_constraints()
            except IntegrityError as late:
                kind, error, traceback = type(late), late, late.__traceback__
        transaction.set_rollback(True)
        self.savepoint.__exit__(kind, error, traceback)
        assert isinstance(error, IntegrityError), f"{self.rule} let it pass"
        assert error.__cause__.diag.constraint_name == self.rule
        assert error.__cause__.diag.message_primary == self.message
        return True
