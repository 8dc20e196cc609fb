"""What callers may ask for. Each use case reads like its sentence; time and neighbours come in as arguments."""
