"""`python -m imagery.cli`: the command line where its script is not on the PATH."""

from imagery.cli.app import main

main()
