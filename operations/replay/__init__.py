"""Real bookings lived through the services, one call per step, in the order in which things happened.

The demo lives through a slice of the data up to the present moment; ``manage.py replay_bookings`` lives through all.
"""
