"""The lines of a TOML file: every key is found where it stands."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.errors import InputError
from digest.toml import read_toml

TEXT = '''\
top = 1
[table]   # a comment
key = "x"
"quoted key" = 1
a.b = 2
long = """
fake = 3
[fake]
"""
list = [
  "a = b",
]
inline = {x = 1, y = 2}

[table.sub]
key = 3
[[many]]
name = "one"
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("top",), 1),
        (("table",), 2),
        (("table", "key"), 3),
        (("table", "quoted key"), 4),
        (("table", "a", "b"), 5),
        (("table", "long"), 6),
        (("table", "list"), 10),
        (("table", "inline", "y"), 13),
        (("table", "sub", "key"), 16),
        (("table", "sub", "absent"), 15),
        (("many", "name"), 18),
        (("nowhere",), 0),
    ],
)
def test_a_key_has_its_line(tmp_path: Path, keys: tuple[str, ...], line: int) -> None:
    """A key stands at its own line, an absent one at its table's, an unknown one nowhere."""
    (tmp_path / "x.toml").write_text(TEXT)
    place = read_toml(tmp_path / "x.toml", "shown.toml").place(*keys)
    assert (place.file, place.line) == ("shown.toml", line)


def test_lines_in_long_strings_are_no_keys(tmp_path: Path) -> None:
    """What only looks like a table or a key inside a multi-line string is left alone."""
    (tmp_path / "x.toml").write_text(TEXT)
    lines = read_toml(tmp_path / "x.toml", "x").lines
    assert not [keys for keys in lines if "fake" in keys]


def test_broken_toml_names_line_and_column(tmp_path: Path) -> None:
    """The syntax error stands where the parser stopped; one at the end stands on the last line."""
    (tmp_path / "x.toml").write_text("a = 1\nb = yes\n")
    with pytest.raises(InputError, match=r"^x:2:5: error: broken TOML: invalid value"):
        read_toml(tmp_path / "x.toml", "x")
    (tmp_path / "x.toml").write_text("a = 1\nb = [1,")
    with pytest.raises(InputError, match=r"^x:2: error: broken TOML"):
        read_toml(tmp_path / "x.toml", "x")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=20), min_size=1))
def test_every_written_key_is_found(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    """The n-th key of a table is on the n-th line after its header, whatever the values hold."""
    file = tmp_path_factory.mktemp("toml") / "x.toml"
    body = "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False).replace(chr(127), '')}\n" for key, value in values.items()
    )
    file.write_text(f"[t]\n{body}")
    toml = read_toml(file, "x")
    assert [toml.place("t", key).line for key in values] == list(range(2, len(values) + 2))
