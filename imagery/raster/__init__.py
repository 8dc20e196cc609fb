"""Pixels: what an AOI needs of an asset, cut out, described, and written as a COG."""
