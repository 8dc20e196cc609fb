"""The plan of every request: `imagery.asl.json`, and one function for each of its Task states."""

from importlib.resources import files


def read_definition() -> str:
    """The Amazon States Language document, as it is deployed and as the embedded orchestrator runs it."""
    return files(__name__).joinpath("imagery.asl.json").read_text(encoding="utf-8")
