"""``make soak``: a soak test with fault injection: real stays in several hotels over HTTP, on a clock that runs fast.

At the end the responses, the database, the audit log, the event log, the subscribers and the money are compared. No
product code imports this package; its clock applies only to the processes that it starts.
"""
