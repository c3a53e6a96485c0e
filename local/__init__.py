"""Runs HotelMate on one machine: PostgreSQL, the Pusher server and the web server, from one command.

It does not import Django: it prepares the environment and the processes that Django then uses.
"""


class LocalError(Exception):
    """A problem that the user can fix: one sentence that says what is wrong and what to do."""
