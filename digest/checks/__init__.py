"""Everything `digest check` looks at, all problems in one pass."""
