"""`python -m producer` is `clipfleet`."""

from producer.cli import main

if __name__ == "__main__":
    main()
