"""`python -m benchharness` is `benchharness`."""

from benchharness.commands.entry import main

if __name__ == "__main__":
    main()
