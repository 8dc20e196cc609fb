"""The embedded STAC catalog: one SQLite file, and a stac-fastapi application over it."""
