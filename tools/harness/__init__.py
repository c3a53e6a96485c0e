"""Shared parts of the drill, bench, soak, conformance and fuzz runs: real processes, real signals, a real clock.

No product code imports this package. It trusts no product code either: received events are compared with the database
in plain SQL and plain Python.
"""
