"""``make soak``: real stays in several hotels over HTTP, amid faults, on a clock that runs fast; then everything is
compared with everything: the answers, the database, the audit trail, the log of events, the screens, the money.

Nothing of the product imports this package; what it changes about time holds in the processes that it starts itself.
"""
