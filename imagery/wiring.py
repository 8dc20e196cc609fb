"""Every back end is chosen here, once."""
