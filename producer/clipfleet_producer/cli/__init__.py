"""`clipfleet` on the command line: what people are asked, shown and told."""
