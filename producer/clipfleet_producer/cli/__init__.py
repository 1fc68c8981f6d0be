"""`clipfleet` on the command line: flags, commands and what they print."""
