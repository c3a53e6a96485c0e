"""Makes the existing staff app's requests to a running HotelMate and checks what the app relies on (docs/api.md)."""
