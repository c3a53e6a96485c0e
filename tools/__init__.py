"""Tools that measure, stress and check HotelMate; no product code imports them."""
