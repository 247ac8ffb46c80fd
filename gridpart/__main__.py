"""``python -m gridpart`` is the command line."""

from gridpart.cli import run

if __name__ == "__main__":
    run()
