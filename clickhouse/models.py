"""What the models of the settings file have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Strict(BaseModel):
    """A table of the settings file: an unknown key is an error, and nothing changes it later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(name: str) -> str:
    if not name:
        raise ValueError("a name cannot be empty")
    return name


Name = Annotated[str, AfterValidator(_name)]
