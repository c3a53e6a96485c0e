"""Replays real bookings through the services, one call per action, in chronological order.

The demo replays a slice of the data set up to now; ``manage.py replay_bookings`` replays all of it.
"""
