"""The commands behind the Makefile, and what the tests use to read notebooks."""
