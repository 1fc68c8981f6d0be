"""`python -m clipfleet_producer` is `clipfleet`."""

from clipfleet_producer.cli.main import main

if __name__ == "__main__":
    main()
