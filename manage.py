#!/usr/bin/env python
"""Runs HotelMate's management commands."""

import io
import os
import signal
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hotelmate.settings")
    # Only web processes use a pooler that shares sessions: the worker, for one, holds session locks.
    if direct := os.environ.get("DATABASE_DIRECT_URL"):
        os.environ.update(DATABASE_URL=direct, DATABASE_POOLER="")

    from django.core.management import execute_from_command_line

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not support all letters in names
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does; discard what Python writes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
