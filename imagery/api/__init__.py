"""The HTTP door: parse, call, answer. `app.create_app(imagery)` is all that others need."""
