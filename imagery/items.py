"""A source item and what was cut from it → the STAC item we publish."""
