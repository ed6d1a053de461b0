"""`python -m tinysight` is the command `tinysight`."""

from tinysight.cli.main import main

if __name__ == "__main__":
    main()
