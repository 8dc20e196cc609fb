"""What runs by itself: the dispatcher and the schedules."""
