"""Subscribe to a piece of land and get every clear pixel of it, clipped, in your bucket and your STAC catalog."""

from importlib.metadata import version

__version__ = version("imagery")
