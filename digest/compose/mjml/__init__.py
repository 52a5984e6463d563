"""MJML, whole: read and checked, cured of what MRML gets wrong, and drawn."""
