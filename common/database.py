"""What a Django database error says of itself in PostgreSQL's terms."""


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-character code of the error; ``None`` where there was no answer."""
    return getattr(error.__cause__, "pgcode", None)


def constraint(error: BaseException) -> str:
    """The name of the constraint or rule that refused; it names no data."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "unnamed"


# What our own rules (common/triggers.py) raise.
RULE = "23000"


def rule_message(error: BaseException) -> str | None:
    """The sentence of the rule that refused; ``None`` where it was an ordinary constraint."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return diagnosis.message_primary if diagnosis and sqlstate(error) == RULE else None
