"""Frozen values that cross the house. No clock, no socket, no database."""
