"""What measures HotelMate, attacks it and checks it before a release."""
