"""Reading clips from where they lie."""
