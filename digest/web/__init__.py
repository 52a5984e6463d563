"""The public pages: the way out, an issue in the browser, the archive, a reader's own settings, joining."""
