"""A compiled issue and a subscriber become the bytes of one message."""
