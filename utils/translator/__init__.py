"""A translator of real sentences: `python -m utils.translator train|evaluate|translate|inspect`."""
