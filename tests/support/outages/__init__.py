"""A fleet whose broker errs, freezes, dies and fails over, and a checker of the outcome."""
