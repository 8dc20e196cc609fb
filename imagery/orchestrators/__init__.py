"""Whatever runs the workflow: the embedded engine, and later the cloud's own."""
