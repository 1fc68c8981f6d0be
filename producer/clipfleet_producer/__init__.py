"""The side that has clips: finding, feeding and watching them, and the embedded run."""
