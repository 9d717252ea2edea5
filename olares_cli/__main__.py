"""``python -m olares_cli``: how a run's own unit starts the program it belongs to."""

from olares_cli.app import main

if __name__ == "__main__":
    main()
