"""Errors as values: whole wherever they go."""

from __future__ import annotations

import pickle

from digest.errors import InputError, Place, Problem


def test_an_input_error_crosses_processes_whole() -> None:
    """Composing happens in a child of the sender: its problems and its words arrive as they were."""
    error = InputError([Problem(Place("issues/x.md", 3), "one", "cure"), Problem(None, "two")])
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == error.problems
    assert str(again) == str(error)
