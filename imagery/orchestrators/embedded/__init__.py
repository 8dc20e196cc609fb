"""The States Language on one machine: a pure interpreter and a durable engine over one SQLite file."""
