"""`python -m fenchel.cli` is the command line, for those who start it with a certain interpreter."""

from fenchel.cli.main import main

main()
