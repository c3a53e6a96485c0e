"""Measures what HotelMate costs, compared with the minimum that Django and PostgreSQL allow."""
