"""What each queue does with a message."""
