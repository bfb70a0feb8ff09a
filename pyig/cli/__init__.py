"""The command `pyig`: one file per subcommand; what is said on the terminal is printed here and nowhere else."""

from pyig.cli.root import main as main
