"""The matrix of variants is counted beside everything else, and told while it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from digest.audience.database import open_database
from digest.audience.importing import import_list
from digest.audience.readers import load_readers
from digest.newsletter import Newsletter
from digest.preview import variants
from digest.preview.variants import Counting, Matrix, Variants
from digest.preview.workbench import Workbench


@pytest.fixture
def opened(folder: Path) -> Workbench:
    """The folder with a list of 4,000 readers, half of whom pay."""
    rows = "".join(f"r{n}@example.com,{'pro' if n % 2 else 'free'}\n" for n in range(4000))
    file = folder / "subscribers" / "many.csv"
    file.write_text("email,plan\n" + rows)
    newsletter = Newsletter.open(folder)
    connection = open_database(newsletter.database)
    import_list(connection, file, load_readers(folder), shown="many.csv")
    connection.close()
    return Workbench(newsletter)


@pytest.fixture
def counted(eventually: Callable[..., Any]) -> Callable[[Variants, Newsletter, Any], Matrix]:
    """The matrix, when all are counted."""

    def wait(found: Variants, newsletter: Newsletter, merger: Any) -> Matrix:
        eventually(lambda: isinstance(found.of(newsletter, merger), Matrix))
        matrix = found.of(newsletter, merger)
        assert isinstance(matrix, Matrix)
        return matrix

    return wait


def test_count_is_told_while_it_goes_on(opened: Workbench, counted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks is answered at once with how far it is, and with the matrix when all are counted."""
    monkeypatch.setattr(variants, "_PATIENCE", 0)
    look, found = opened.look("first"), Variants()
    assert look is not None
    assert isinstance(found.of(opened.newsletter, look.twin), Counting)
    matrix = counted(found, opened.newsletter, look.twin)
    assert matrix.total == sum(variant.readers for variant in matrix.variants) == 4000
    assert sorted(variant.readers for variant in matrix.variants) == [2000, 2000]
    assert found.of(opened.newsletter, look.twin) is matrix


def test_other_text_takes_the_place_of_a_count(
    opened: Workbench, counted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count of a text that was changed since stops; of a list that changed, the last matrix stands meanwhile."""
    monkeypatch.setattr(variants, "_PATIENCE", 0)
    found, look = Variants(), opened.look("first")
    assert look is not None
    found.of(opened.newsletter, look.twin)
    assert look.compiled is not None
    look.file.write_text(look.file.read_text().replace('{segments="pro"}\n', ""))
    opened.changed([look.file])
    after = opened.look("first")
    assert after is not None
    matrix = counted(found, opened.newsletter, after.twin)
    assert [variant.readers for variant in matrix.variants] == [4000]
    opened.newsletter.database.touch()
    assert found.of(opened.newsletter, after.twin) is matrix


def test_what_all_readers_show_is_listed(opened: Workbench, counted: Any) -> None:
    """The pass over the list says what is wrong for some of it, with its place."""
    look = opened.look("first")
    assert look is not None
    text = look.file.read_text().replace("and more words.", "for {{ subscriber.company }}.")
    look.file.write_text(text)
    opened.changed([look.file])
    after = opened.look("first")
    assert after is not None
    problems = counted(Variants(), opened.newsletter, after.twin).problems
    [problem] = [problem for problem in problems if "company" in problem.message]
    assert "4,000 of 4,000 readers" in problem.message
    assert problem.place is not None
    assert problem.place.file == "issues/first/index.md"
