"""What HotelMate promises of its live events, tried out on the real thing: real processes, real signals, a real clock.

No code of the product imports this package, and no promise is believed: what arrived is compared with the database in
plain SQL and plain Python.
"""
