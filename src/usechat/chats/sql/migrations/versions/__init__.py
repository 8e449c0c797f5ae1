"""One module for each change of the tables, named in their order."""
