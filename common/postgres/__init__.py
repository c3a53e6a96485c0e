"""Django's backend for PostgreSQL, where a kept connection costs no round trip to check (``base.py``)."""
