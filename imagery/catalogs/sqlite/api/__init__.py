"""The STAC API over the embedded store: stac-fastapi clients, and what they answer."""
