"""The local workbench in the browser, and the embedded inbox."""
