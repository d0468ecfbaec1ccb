"""``python -m lumiere``."""

from lumiere.cli import main

if __name__ == "__main__":
    main()
