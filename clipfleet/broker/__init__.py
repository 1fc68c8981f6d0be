"""The broker: its address, connections to it, and what lies in it."""
