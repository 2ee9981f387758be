"""What a measurement came to, and the bound that it is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One figure: `subject` was measured, `unit` is what it counts; `bound` is None where nothing is asked of it."""

    subject: str
    value: float
    unit: str
    bound: float | None = None
    at_most: bool = True

    @property
    def met(self) -> bool:
        """Whether the figure keeps its bound."""
        if self.bound is None:
            return True
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def __str__(self) -> str:
        figure = f"{self.subject}: {self.value:,.3g} {self.unit}"
        if self.bound is None:
            return figure
        wanted = f"at {'most' if self.at_most else 'least'} {self.bound:g} wanted"
        return f"{figure}, {wanted}: {'met' if self.met else 'MISSED'}"
