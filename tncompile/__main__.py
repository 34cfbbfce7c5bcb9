"""`python -m tncompile`, for where the `tncompile` script is not on the path."""

from tncompile.cli.application import main

if __name__ == "__main__":
    main()
