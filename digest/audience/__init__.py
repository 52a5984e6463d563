"""Who reads: attributes, segments, suppressions, import, and the database."""
