"""The whole service and a sandbox provider in one process, offline: one subscription from its polygon to its items."""

from imagery.demo.running import Demo, open_demo
from imagery.demo.wishes import Wishes

__all__ = ["Demo", "Wishes", "open_demo"]
