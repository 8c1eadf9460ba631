"""The commands behind the Makefile, what the tests use to read notebooks, and the grammar."""
