"""Composes, previews, sends and accounts for email newsletters kept as files."""
