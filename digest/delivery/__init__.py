"""Plan, ledger, relay and the run: every reader once, and every outcome on record."""
