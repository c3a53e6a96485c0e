"""Fuzzing: requests and frames that no client of ours would send, against a whole HotelMate of its own."""
