"""`python -m benchharness` is `benchharness`."""

from benchharness.cli import main

if __name__ == "__main__":
    main()
