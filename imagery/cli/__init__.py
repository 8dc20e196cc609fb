"""The command line: one file a group of commands. Parse, call, print."""

from imagery.cli.app import main

__all__ = ["main"]
