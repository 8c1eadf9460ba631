"""The name and the address of the course, from pyproject.toml, the one place that says them."""

from __future__ import annotations

import tomllib

from tools.notebooks import ROOT

with (ROOT / "pyproject.toml").open("rb") as file:
    COURSE = tomllib.load(file)["tool"]["course"]

NAME: str = COURSE["name"]
REPOSITORY: str = COURSE["repository"]
