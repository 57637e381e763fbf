"""Names as cells of tables. A spreadsheet runs a name that begins like a formula, so such a name gets an apostrophe.

Spreadsheets show the name without it. `read_cell` takes it off, so that a table of bindtune's own reads back the same.
Numbers are no names: a negative number stays a number.
"""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 (spreadsheets of East Asia take the wide signs, too)
_QUOTED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001
_PARTS_FIELDS = re.compile(r"[\"\t\r\n]")


def name_cell(name: str) -> str:
    """A name as the cell of a table that a spreadsheet may open
    (https://owasp.org/www-community/attacks/CSV_Injection).

    Example:
        >>> [name_cell(name) for name in ("P00918", "=1+1", "'=1+1", "-5")]
        ['P00918', "'=1+1", "''=1+1", "'-5"]
    """
    return f"'{name}" if _FORMULA.match(name) else name


def read_cell(cell: str) -> str:
    """The name that `name_cell` made a cell of; any other text stays as it is.

    Example:
        >>> [read_cell(cell) for cell in ("P00918", "'=1+1", "''=1+1", "=1+1", "-0.5")]
        ['P00918', '=1+1', "'=1+1", '=1+1', '-0.5']
    """
    return cell[1:] if _QUOTED.match(cell) else cell


def tsv_name(name: str) -> str:
    """A name as a cell between tabs; quotes are doubled and put around it as in CSV, where it holds any.

    Example:
        >>> print(tsv_name("P00918"), tsv_name('=1"2'))
        P00918 "'=1""2"
    """
    cell = name_cell(name)
    if _PARTS_FIELDS.search(cell):
        return '"' + cell.replace('"', '""') + '"'
    return cell
