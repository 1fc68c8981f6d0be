"""`python -m clipfleet_workers` is `clipfleet-worker`."""

from clipfleet_workers.cli import main

if __name__ == "__main__":
    main()
