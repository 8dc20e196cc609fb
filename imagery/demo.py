"""The main job, shown working on one machine without a network."""
