"""The whole service in one process, and following what it does."""
