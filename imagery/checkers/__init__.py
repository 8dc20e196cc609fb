"""What looks after subscriptions on a schedule: for new imagery, and for what is due to go."""
