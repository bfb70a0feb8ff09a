"""Rows of a file: every chunk has the same types, faults name row and column, and only a chunk is held at a time."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyig.errors import InputError
from pyig.scale import Rows
from pyig.scale.rows import Chunk

TABLE: dict[str, list[Any]] = {
    "age": [63, 41, 57, 29, 70, 33, 48],
    "oldpeak": [2.3, 1.0, 0.5, 0.25, 3.0, 1e-3, 4.0],
    "ill": [True, False, True, True, False, False, True],
    "zip": ["02139", "94043", "10001", "01234", "60601", "73301", "94105"],
}


def cell(value: Any) -> str:
    return {"True": "true", "False": "false", "None": ""}.get(str(value), str(value))


def write_csv(path: Path, table: dict[str, list[Any]]) -> None:
    lines = [",".join(table), *(",".join(map(cell, row)) for row in zip(*table.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


def records(table: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


WRITE: dict[str, Callable[[Path, dict[str, list[Any]]], Any]] = {
    ".csv": write_csv,
    ".json": lambda path, table: path.write_text(json.dumps(records(table))),
    ".jsonl": lambda path, table: path.write_text("".join(json.dumps(r) + "\n" for r in records(table))),
    ".parquet": lambda path, table: pq.write_table(pa.table(table), path, row_group_size=3),
}


@pytest.fixture(params=list(WRITE))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def opened(folder: Path, kind: str, table: dict[str, list[Any]], *args: Any, **options: Any) -> Rows:
    WRITE[kind](folder / f"rows{kind}", table)
    return Rows(folder / f"rows{kind}", *args, **options)


def whole(chunks: list[Chunk]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([chunk.table[name] for chunk in chunks]) for name in chunks[0].table}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("first", [0, 2, 4])
def test_every_value_arrives_once_with_its_type(kind: str, size: int, first: int, tmp_path: Path) -> None:
    rows = opened(tmp_path, kind, TABLE)
    assert rows.count == 7
    chunks = list(rows.chunks(size, first))
    assert [chunk.first for chunk in chunks] == list(range(first, 7, size))
    assert all(len(chunk) == size for chunk in chunks[:-1])
    for name, array in whole(chunks).items():
        assert array.tolist() == TABLE[name][first:]
    for chunk in chunks:
        assert [chunk.table[name].dtype.kind for name in TABLE] == ["i", "f", "b", "U"]
        assert chunk.faults == []


def test_a_type_is_decided_by_the_whole_file(kind: str, tmp_path: Path) -> None:
    late = {"x": [1] * 50 + [0.5], "y": [1] * 51}
    dtypes = {chunk.table[name].dtype for name in "x" for chunk in opened(tmp_path, kind, late).chunks(10)}
    assert dtypes == {np.dtype(np.float64)}
    assert next(opened(tmp_path, kind, late).chunks(10)).table["y"].dtype == np.int64


def test_a_leading_zero_makes_a_text_and_so_does_the_user(tmp_path: Path) -> None:
    table = {"zip": [2139, 94043], "age": [63, 41]}
    assert opened(tmp_path, ".csv", table).columns["zip"].kind == "int"
    assert opened(tmp_path, ".csv", table, text=["zip"]).columns["zip"].kind == "text"
    assert next(opened(tmp_path, ".json", table, text=["zip"]).chunks(5)).table["zip"].tolist() == ["2139", "94043"]
    assert next(opened(tmp_path, ".parquet", table, text=["zip"]).chunks(5)).table["zip"].tolist() == ["2139", "94043"]


def test_missing_cells_are_named(kind: str, tmp_path: Path) -> None:
    table = {"age": [63, None, 57, 29], "oldpeak": [1.5, 2.0, None, 0.5]}
    chunks = list(opened(tmp_path, kind, table).chunks(2))
    faults = [fault for chunk in chunks for fault in chunk.faults]
    assert [(fault.row, fault.column) for fault in faults] == [(1, "age"), (2, "oldpeak")]
    assert all("missing" in fault.what for fault in faults)
    assert [chunk.whole.tolist() for chunk in chunks] == [[0], [1]]
    assert {chunk.table["age"].dtype for chunk in chunks} == {np.dtype(np.int64)}


@pytest.mark.parametrize("mark", ["", "NA", "nan", "NULL", "?", " "])
def test_marks_of_missing_cells(mark: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"age,name\n63,ann\n{mark},{mark}\n41,bob\n")
    (chunk,) = Rows(tmp_path / "r.csv").chunks(10)
    assert [(fault.row, fault.column) for fault in chunk.faults] == [(1, "age")]
    assert chunk.table["name"].tolist() == ["ann", mark, "bob"]  # a text is never missing: NA may be Namibia


@pytest.mark.parametrize("wrong", ["old", "6 3", "0x3f", "1_000", "true", "inf"])
def test_a_word_among_numbers_is_a_mistake(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"age\n63\n{wrong}\n41\n")
    (chunk,) = Rows(tmp_path / "r.csv").chunks(10)
    (fault,) = chunk.faults
    assert str(fault).startswith("row 1, column 'age': expected")
    assert repr(wrong) in fault.what


def test_a_number_among_words_is_a_word(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("code\nA1\n22\nB7\n")
    (chunk,) = Rows(tmp_path / "r.csv").chunks(10)
    assert (chunk.table["code"].tolist(), chunk.faults) == (["A1", "22", "B7"], [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_quotes_and_a_byte_order_mark(delimiter: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        f'\ufeffage{delimiter}"no, te"\n63{delimiter}"a, ""b""\nc"\n\n41{delimiter}d\n', encoding="utf-8"
    )
    (chunk,) = Rows(tmp_path / "r.csv").chunks(10)
    assert chunk.table["age"].tolist() == [63, 41]
    assert chunk.table["no, te"].tolist() == ['a, "b"\nc', "d"]


def test_a_row_of_the_wrong_length_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    (chunk,) = Rows(tmp_path / "r.csv").chunks(10)
    assert [str(fault) for fault in chunk.faults] == [
        "row 1: expected 2 cells; got 1",
        "row 2: expected 2 cells; got 3",
    ]
    assert chunk.table["a"][chunk.whole].tolist() == [1, 7]


def test_cells_of_csv_may_be_lists_of_numbers(tmp_path: Path) -> None:
    lines = ['"[1, 2]","[True, false]","[CLS] so",[]', '"[3, 4]","[False, True]",[1],[.]', '"[5]",,[SEP],"[""a""]"']
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["ids,mask,text,odd", *lines, '"[5, nan]","[1, 2]",x,y', '"[7, 8]","[True, True]",z,w']))
    chunk = next(Rows(path, None, ()).chunks(9))
    assert chunk.table["ids"].dtype == np.int64
    assert chunk.table["ids"][[0, 1, 4]].tolist() == [[1, 2], [3, 4], [7, 8]]
    assert chunk.table["mask"][[0, 1, 4]].tolist() == [[True, False], [False, True], [True, True]]
    assert chunk.table["text"].tolist() == ["[CLS] so", "[1]", "[SEP]", "x", "z"]
    assert chunk.table["odd"].tolist() == ["[]", "[.]", '["a"]', "y", "w"]
    assert sorted((f.row, f.column) for f in chunk.faults) == [(2, "ids"), (2, "mask"), (3, "ids"), (3, "mask")]
    assert next(Rows(path, None, ["ids"]).chunks(9)).table["ids"][0] == "[1, 2]"


def test_lists_become_axes(tmp_path: Path) -> None:
    cells = [[1, 2, 3], [4, 5, 6], [7, 8], [7, 8, 9]]
    for kind in (".json", ".jsonl", ".parquet"):
        rows = opened(tmp_path, kind, {"ids": cells})
        (chunk,) = rows.chunks(10)
        assert chunk.table["ids"][chunk.whole].tolist() == [cells[0], cells[1], cells[3]]
        assert [fault.row for fault in chunk.faults] == [2]
        assert rows.columns["ids"].shape == (3,)
        assert next(rows.chunks(1, 3)).table["ids"].shape == (1, 3)


@pytest.mark.parametrize(
    "text",
    [
        '{"instances": [{"age": 1}, {"age": 2}]}',
        ' [ {"age": 1},\n {"age": 2} ] ',
        '{"age": 1}\n{"age": 2}\n',
        '\ufeff[{"age": 1}, {"age": 2}]',
    ],
)
def test_forms_of_json(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    (chunk,) = Rows(tmp_path / "r.json").chunks(10)
    assert chunk.table["age"].tolist() == [1, 2]


def test_an_array_longer_than_the_buffer(tmp_path: Path) -> None:
    table = {"text": ["é" * 30_000, "b" * 70_000, "c" * 150_000] * 3, "n": list(range(9))}
    chunks = list(opened(tmp_path, ".json", table).chunks(4))
    assert whole(chunks)["text"].tolist() == table["text"]


def test_a_broken_line_is_one_fault(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"age": 1}\n{"age": \n[3]\n{"age": 4}\n{"other": 5}\n')
    (chunk,) = Rows(tmp_path / "r.jsonl").chunks(10)
    assert [(fault.row, fault.column) for fault in chunk.faults] == [
        (0, "other"), (1, None), (2, None), (3, "other"), (4, "age"),
    ]  # fmt: skip
    (alone,) = Rows(tmp_path / "r.jsonl", ["age"]).chunks(10)
    assert alone.table["age"][alone.whole].tolist() == [1, 4]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("r.csv", "", "expected column names in the first line"),
        ("r.csv", "a,b\n", "it has none"),
        ("r.csv", "a,a\n1,2\n", "'a' is there twice"),
        ("r.csv", 'a,b\n1,"2\n3,4\n', "line 3: unexpected end of data. Is a quote left open"),
        ("r.csv", b"a,b\n\xff\xfe,1\n", "in UTF-8"),
        ("r.json", '[{"a": 1}, {"a": ]', "row 1: Expecting value"),
        ("r.json", '[{"a": 1}', "Is a bracket or a quote left open"),
        ("r.json", "[]", "it has none"),
        ("r.json", b'[{"a": "\xff"}]', "in UTF-8"),
        ("r.parquet", "PAR1 no", "cannot be read as one"),
        ("r.xls", "a", "expected rows in a file that ends in .csv"),
    ],
)
def test_what_cannot_be_read_says_why(name: str, content: str | bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match="expected") as caught:
        list(Rows(tmp_path / name).chunks(10))
    assert sentence in str(caught.value)


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    WRITE[".parquet"](tmp_path / "r.parquet", TABLE)
    data = (tmp_path / "r.parquet").read_bytes()
    (tmp_path / "r.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cannot be read as one"):
        Rows(tmp_path / "r.parquet")


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    import datetime

    pq.write_table(pa.table({"when": [datetime.date(2026, 1, 1)], "age": [1]}), tmp_path / "r.parquet")
    with pytest.raises(InputError, match=r"column 'when' of r\.parquet; got date32"):
        Rows(tmp_path / "r.parquet")
    assert next(Rows(tmp_path / "r.parquet", ["age"]).chunks(1)).table["age"].tolist() == [1]


def test_missing_columns_are_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected columns 'oldpaek' in rows.*Did you mean 'oldpeak'"):
        opened(tmp_path, kind, TABLE, ["age", "oldpaek"])
    assert list(opened(tmp_path, kind, TABLE, ["zip", "age"]).columns) == ["zip", "age"]
    assert list(opened(tmp_path, kind, TABLE, ["inputs"], or_all=True).columns) == list(TABLE)


def test_only_a_chunk_is_held(kind: str, tmp_path: Path) -> None:
    peaks = []
    for count in (2_000, 40_000):
        table = {"x": [i / 7 for i in range(count)], "n": list(range(count))}
        WRITE[kind](tmp_path / f"rows{kind}", table)
        if kind == ".parquet":  # groups of three rows would have more to say of themselves than they hold
            pq.write_table(pa.table(table), tmp_path / "rows.parquet", row_group_size=1000)
        del table
        rows = Rows(tmp_path / f"rows{kind}")
        tracemalloc.start()
        assert sum(len(chunk) for chunk in rows.chunks(500)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 100_000


@pytest.mark.parametrize(
    ("cells", "clean"),
    [
        (["1", "2"], True),
        (["1.5", "2"], True),
        (["true", "FALSE"], True),
        (["a", "b"], True),
        (["1", ""], False),
        (["1", "2", "a"], False),
        (["1", "2", "inf"], False),
        (["a", "b", "7"], False),
    ],
)
def test_a_clean_file_needs_no_second_look(cells: list[str], clean: bool, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("\n".join(["n,x", *(f"{i},{cell}" for i, cell in enumerate(cells))]) + "\n")
    rows = Rows(tmp_path / "r.csv")
    assert rows.clean is clean
    if clean:
        assert not next(rows.chunks(10)).faults
    (tmp_path / "r.csv").write_text((tmp_path / "r.csv").read_text() + "1\n")
    assert not Rows(tmp_path / "r.csv").clean


def test_a_name_that_a_row_lacks_is_missing_there(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"a": 1}\n{"a": 2, "b": 3}\n')
    rows = Rows(tmp_path / "r.jsonl")
    assert not rows.clean
    assert [str(fault)[:17] for fault in next(rows.chunks(5)).faults] == ["row 0, column 'b'"]


def test_numbers_that_no_column_can_hold(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(f'[{{"a": 1}}, {{"a": {2**64}}}, {{"a": {2**70}}}, {{"a": 1e999}}]')
    (chunk,) = Rows(tmp_path / "r.json").chunks(10)
    assert {fault.row for fault in chunk.faults} == {1, 2, 3}
