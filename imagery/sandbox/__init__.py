"""A local Earth Search to try the service against, offline: real scenes of a folder, or small synthetic ones."""
