"""Keeping the database: copies of it, putting one back, and what is kept of old runs."""
