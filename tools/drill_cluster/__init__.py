"""``make drill-cluster``: a PostgreSQL cluster on this machine, disturbed while HotelMate works on it."""
