"""The booking actions, one module per verb. Each is one transaction that locks the booking first, then its rooms in pk
order; room statuses change only through ``housekeeping.services``."""
