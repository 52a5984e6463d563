"""A subscriber as the rest of the program sees one: typed, frozen, never a dict of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Literal

Value = str | int | float | bool | date | tuple[str, ...]
"""A typed attribute value. An empty cell is no value at all: it is left out of `Subscriber.values`."""

Status = Literal["active", "pending", "unsubscribed", "bounced", "complained"]

BUILT_IN_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "email": "string",
        "name": "string",
        "first_name": "string",
        "language": "string",
        "timezone": "string",
        "tags": "list",
        "signed_up": "date",
    }
)
"""What every reader has, with its type; all else is declared in ``config/readers.toml``."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One reader.

    `id` is the row's number (0 for made-up readers). `token` is opaque, stable, unguessable, and says
    nothing about the address. `email` is the address as it was given. `values` holds every attribute
    that has a value, built-in ones included (`email`, `tags` always), by name.
    """

    id: int
    token: str
    email: str
    status: Status = "active"
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The full name, or an empty string."""
        return str(self.values.get("name", ""))
