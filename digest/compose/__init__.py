"""Written to email: theme, MJML, inlining, plain text, and the `CompiledIssue` they end in."""
