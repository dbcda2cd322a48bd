"""`python -m fenchel.cli` is the command line, run by a certain interpreter."""

from fenchel.cli.main import main

main()
