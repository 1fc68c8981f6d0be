"""A fleet whose broker errs, freezes, dies and fails over, and a checker of what came of that."""
