"""The name and the address of the course, from pyproject.toml, the one place that says them."""

from __future__ import annotations

import tomllib

from tools.notebooks import ROOT

with (ROOT / "pyproject.toml").open("rb") as file:
    COURSE = tomllib.load(file)["tool"]["course"]

NAME: str = COURSE["name"]
REPOSITORY: str = COURSE["repository"]
VERSION: str = COURSE["version"]
COLAB = REPOSITORY.replace("https://github.com", "https://colab.research.google.com/github")


def on_github(path: str) -> str:
    """Return the address of a file of the course."""
    return f"{REPOSITORY}/blob/{VERSION}/{path}"


def in_colab(path: str) -> str:
    """Return the address that opens a notebook of the course in Colab."""
    return f"{COLAB}/blob/{VERSION}/{path}"
