"""Owns running HotelMate on one machine: PostgreSQL, the Pusher server and the web server, from one command.

It imports no Django: it prepares the environment and the processes that Django then finds.
"""


class LocalError(Exception):
    """Something the person at the keyboard can put right: one sentence that says what is wrong and what to do."""
