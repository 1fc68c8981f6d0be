"""A run in the store: its clips, how it is fed, how far it is."""
