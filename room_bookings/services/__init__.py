"""The life of a booking, one module per verb. Each step is one transaction: the booking is locked first, then its
rooms in pk order; every change of a room's status goes through ``housekeeping.services``."""
