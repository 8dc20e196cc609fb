"""The processing queue; one module a back end."""
