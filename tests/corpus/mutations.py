"""Ways to change what a file says, for hypothesis: values of documents, cells of tables, rows of alignments, names.

`fuzzing.changed` changes bytes, and most of such files are refused as damaged. Files from here are sound as files.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import yaml
from hypothesis import strategies as st

from corpus.valid import parquet, seeds

_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, -5, 0.5, 1e-300, 1e308, math.nan, math.inf, -math.inf, 2**31, 2**40, 2**63, 10**400,
    "", " ", "x", "0.5", "nan", "1e999", "NO", "off", "..", "../secret.safetensors", "/etc/passwd", "a/b", "a\\b", "\0",
    "\n", "=1+1", "; system touch X", "$(touch X)", "<script>", "(.+)+x$", ".*", "(", "A" * 10_000, [], {}, [[]],
    [1, "x"], {"x": 1}, {"": None},
)  # fmt: skip
_ODD_CELLS: tuple[Any, ...] = (
    None, -1, 0, 1, 2, 127, 2**31 - 1, 2**40, 0.5, -0.5, math.nan, math.inf, "", "A", "MK", "\n",
)  # fmt: skip
_ANNOTATIONS = (">ss_pred", ">ss_conf PSIPRED", ">ss_dssp", ">sa_dssp", ">aa_pred")
_PIECES = (
    "(.+)+", "(a|a)*", "(.*)*", "x$", "^", ".*", "q_proj", r"\.", "[0-9]", "(q|v)_proj", "{1000}", "{99999}",
    "{9}{9}{999}", "(?:a?){30}a{30}", "(", ")", "[", "\\", "|", "?", "+", "(?R)", "(?i)", r"(.)\1+", r"layers\.", "é",
)  # fmt: skip
_NAMES = ("A", "AA", "A; system touch X; select y, chain A", "A\nquit", "A'", 'A"', "A B", "", "-1", "A,B", "$x", "é")


def changed_document(format: str) -> st.SearchStrategy[bytes]:
    """Documents of a format, in YAML or JSON as its seeds, in which some values are others, gone or doubled."""
    sound = [(seed, _load(seed)) for seed in seeds(format)]

    @st.composite
    def draw_document(draw: st.DrawFn) -> bytes:
        seed, loaded = draw(st.sampled_from(sound))
        content = _copy(loaded)
        for _ in range(draw(st.integers(1, 3))):
            places = list(_places(content))
            if places:
                _change(draw, *draw(st.sampled_from(places)))
        if seed.startswith(b"{"):
            return json.dumps(content).encode()
        return yaml.safe_dump(content, allow_unicode=True).encode()

    return draw_document()


def _load(seed: bytes) -> Any:
    return json.loads(seed) if seed.startswith(b"{") else next(yaml.safe_load_all(seed))


def _copy(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _copy(value) for name, value in content.items()}
    return [_copy(value) for value in content] if isinstance(content, list) else content


def _places(content: Any) -> Any:
    """Each (container, name or number) of a document."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(pairs):
        yield content, key
        yield from _places(value)


def _change(draw: st.DrawFn, container: Any, key: Any) -> None:
    action = draw(st.sampled_from(("replace", "replace", "replace", "remove", "wrap", "rename")))
    if action == "remove":
        del container[key]
    elif action == "wrap":
        container[key] = draw(st.sampled_from(([container[key], _copy(container[key])], {"x": container[key]})))
    elif action == "rename" and isinstance(container, dict):
        container[draw(st.sampled_from(("", "x", f"{key}x", "A" * 500)))] = container.pop(key)
    else:
        container[key] = _copy(draw(st.sampled_from(_ODD_VALUES)))  # further changes must not reach the list


def changed_table(records: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> st.SearchStrategy[bytes]:
    """Parquet tables in which some cells are others, rows come again or are gone, or a column has another type."""

    @st.composite
    def draw_table(draw: st.DrawFn) -> bytes:
        rows = [dict(row) for row in records]
        for _ in range(draw(st.integers(1, 3))):
            row = draw(st.integers(0, len(rows) - 1)) if rows else 0
            action = draw(st.sampled_from(("cell", "cell", "again", "remove", "column")))
            column = draw(st.sampled_from(list(records[0])))
            value = draw(st.sampled_from(_ODD_CELLS))
            if action == "again":
                rows.insert(row, dict(rows[row] if rows else records[0]))
            elif action == "remove" and rows:
                del rows[row]
            elif action == "column":
                rows = [{**each, column: value} for each in rows]
            elif rows:
                rows[row][column] = value
        try:
            return parquet(rows, schema=schema)
        except (pa.ArrowException, OverflowError, TypeError):  # values of two types in a column, or too large for it
            return parquet(list(records), schema=schema)

    return draw_table()


def with_foreign_rows(rows: Sequence[tuple[str, str]]) -> st.SearchStrategy[bytes]:
    """An alignment with rows among its own that are no homologs of it, comments, and columns as A2M writes them.

    Args:
        rows: header and letters of the sound ones, without insertions.
    """
    length = len(rows[0][1])

    @st.composite
    def draw_alignment(draw: st.DrawFn) -> bytes:
        dots = draw(st.integers(0, 3))
        column = draw(st.integers(0, length))
        lines: list[str] = []
        for header, letters in rows:
            for _ in range(draw(st.integers(0, 2))):
                lines += [
                    draw(st.sampled_from(_ANNOTATIONS)),
                    draw(st.text("HEC-9.?abcX", min_size=1, max_size=2 * length)),
                ]
            if draw(st.booleans()):
                lines += [
                    draw(st.sampled_from((">Consensus", ">x_consensus"))),
                    draw(st.text("HEC-.abcX", min_size=1, max_size=length)),
                ]
            lines += [header, letters[:column] + "." * dots + letters[column:]]
        if draw(st.booleans()):
            foreign = draw(st.text("ACDEFG", min_size=length, max_size=length)) + "W"
            lines += [f"\0{draw(st.sampled_from(('>other', '>q')))}", foreign, ">below", foreign]
        mark = draw(st.sampled_from(("", "\ufeff", "#8\t1\n")))
        return (mark + "\n".join(lines) + draw(st.sampled_from(("", "\n", "\n\0")))).encode()

    return draw_alignment()


def patterns() -> st.SearchStrategy[str]:
    """Regular expressions as hostile and as careless people write them."""
    return st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8).map("".join)


def names() -> st.SearchStrategy[str]:
    """Names of chains and files, some of which are commands."""
    return st.one_of(st.sampled_from(_NAMES), st.text(max_size=6))


def structured(format: str) -> st.SearchStrategy[bytes] | None:
    """Sound files of a format that say something else; None where only bytes are changed."""
    from corpus import valid

    tables: dict[str, Callable[[], st.SearchStrategy[bytes]]] = {
        "out-of-fold table": lambda: changed_table(valid.OUT_OF_FOLD),
        "record losses": lambda: changed_table(valid.RECORD_LOSSES),
        "predictions": lambda: changed_table(valid.PREDICTIONS, valid.predictions_schema()),
        "training records": lambda: changed_table([valid.window(), valid.window(1)]),
    }
    if format in tables:
        return tables[format]()
    is_document = format in valid.YAML or format.startswith("run folder") or format.endswith("JSON")
    if is_document or format in ("run YAML", "adapter_config.json", "encoder config.json", "weight index"):
        return changed_document(format)
    return None
