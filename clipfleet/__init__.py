"""What producers and workers share: schemas, settings, keys, queues, stores."""

__version__ = "0.1.0"
