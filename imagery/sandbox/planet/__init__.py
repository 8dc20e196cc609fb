"""A local Planet: its Data and Orders APIs as recorded, with webhooks, over scenes of this machine."""
