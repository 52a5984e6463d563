"""The bounce mailbox: what comes back of messages that the relay has accepted, and what becomes of it."""
