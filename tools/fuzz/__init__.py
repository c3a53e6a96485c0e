"""Fuzzing: malformed and random requests and frames, sent to a throw-away HotelMate."""
