"""Plays the existing staff app against a running HotelMate and checks every row of the contract that it relies on."""
