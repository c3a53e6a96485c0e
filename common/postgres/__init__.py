"""Django's PostgreSQL backend, but checking a persistent connection costs no round trip (``base.py``)."""
