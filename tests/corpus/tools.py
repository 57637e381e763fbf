"""Predictions of other tools and their training proteins."""

from corpus.case import looks, read, refused, wrecks
from corpus.valid import GPSITE, LMETALSITE, TOOL_TABLE, TOOL_TRAINING

_SCORES = [("p1", "ZN", [0.125, 0.5, 0.25]), ("p2", "ZN", [0.0, 1.0])]
_HEAD = b"protein\tposition\tion\tprobability\n"
_CUT = r":\d+: gzip data is damaged"
_NOTHING = ": is empty, expected "
CASES = [
    *looks("table of a tool", TOOL_TABLE, _SCORES),
    *wrecks("table of a tool", TOOL_TABLE, empty=_NOTHING, binary=":6: not text", cut=_CUT),
    *read(
        "table of a tool",
        {
            "commas, quotes and other columns": (
                b'"ion","x","probability","position","protein"\nzn,"a,b",1e-1,2,p2\n', [("p2", "ZN", [None, 0.1])]
            ),
            "proteins and ions of others": (TOOL_TABLE + b"other\t1\tZN\t0.5\tM\np1\t1\tHEM\t0.5\tM\n", _SCORES),
        },
    ),
    *refused(
        "table of a tool",
        {
            "no header": (TOOL_TABLE.partition(b"\n")[2], ":1: the header lacks protein, position, ion, probability"),
            "another name of a column": (TOOL_TABLE.replace(b"probability", b"score"), ":1: the header lacks probab"),
            "a column twice": (TOOL_TABLE.replace(b"residue", b"ion"), ":1: the header has two columns ion"),
            "positions from 0": (TOOL_TABLE.replace(b"p1\t1", b"p1\t0"), ":2: 'p1': position 0, expected 1 to 3; --po"),
            "a longer protein": (TOOL_TABLE + b"p2\t9\tZN\t0.1\tC\n", ":7: 'p2': position 9, expected 1 to 2$"),
            "a residue twice": (TOOL_TABLE + b"p2\t2\tZN\t0.1\tC\n", ":7: 'p2': position 2 for ZN comes twice"),
            "another residue": (TOOL_TABLE.replace(b"0.5\tC", b"0.5\tW"), ":3: 'p1': residue 2 is W, expected C"),
            "other ions alone": (_HEAD + b"p1\t1\tHEM\t0.5\n", ": has no ion of ZN; it has HEM"),
            "other proteins alone": (_HEAD + b"q\t1\tZN\t0.5\n", ": has none of the 2 proteins that are compared"),
            "a percentage": (_HEAD + b"p1\t1\tZN\t50\n", ":2: probability: expected a number from 0 to 1, found '50'"),
            "no number": (_HEAD + b"p1\t1\tZN\tnan\n", ":2: probability: expected a number from 0 to 1, found 'nan'"),
            "an empty probability": (_HEAD + b"p1\t1\tZN\t\n", ":2: probability: expected a number from 0 to 1"),
            "a position of 5000 digits": (_HEAD + b"p1\t" + b"9" * 5000 + b"\tZN\t1\n", ":2: position: expected a"),
            "a row that is too short": (_HEAD + b"p1\t1\tZN\n", ":2: 3 fields, expected 4 as in the header"),
            "a quote that stays open": (_HEAD + b'"p1\t1\tZN\t1\n', ":2: is not CSV: "),
        },
    ),
    *looks("LMetalSite", LMETALSITE, _SCORES),
    *wrecks("LMetalSite", LMETALSITE, empty=_NOTHING, binary=":3: not text", cut=_CUT),
    *refused(
        "LMetalSite",
        {
            "a table": (TOOL_TABLE, ":1: expected LMetalSite's header ID,Sequence,ZN_prob,..., found 'protein,"),
            "a list that is too short": (LMETALSITE.replace(b"0.125,", b""), ":2: ZN_prob of 'p1': 2 numbers, exp"),
            "another length": (LMETALSITE.replace(b"MCH", b"MC"), ":2: 'p1' has 2 residues, expected 3"),
            "another sequence": (LMETALSITE.replace(b"MCH", b"MCW"), ":2: 'p1': residue 3 is W, expected H"),
            "a call of 2": (LMETALSITE.replace(b'"0,1,0"', b'"0,2,0"'), ":2: call: expected 0 or 1, found '2'"),
            "a protein twice": (LMETALSITE * 2, ":4: expected|:4: 'ID' comes twice|:5: 'p1' comes twice"),
        },
    ),
    *looks("GPSite", GPSITE, _SCORES[:1]),
    *wrecks("GPSite", GPSITE, empty=_NOTHING, binary=":4: not text", cut=_CUT),
    *refused(
        "GPSite",
        {
            "a table": (TOOL_TABLE, ":1: expected GPSite's header No., AA, ..., found 'protein"),
            "a residue less": (GPSITE[: GPSITE.index(b"3\tH")], ": 2 residues of 'p1', expected 3: GPSite leaves out"),
            "a residue more": (GPSITE + b"4\tC\t0\t0.5\n", ":5: 'p1': position 4, expected 1 to 3"),
            "a residue twice": (GPSITE.replace(b"3\tH", b"1\tM"), ":4: 'p1': position 1 for ZN comes twice"),
        },
    ),
    *looks("training proteins of a tool", TOOL_TRAINING, (["p1", "p2"], {"p1": "MCH", "p2": "CC"})),
    *wrecks(
        "training proteins of a tool", TOOL_TRAINING, empty=": holds no protein", binary=":6: not text", cut=_CUT
    ),
    *read(
        "training proteins of a tool",
        {
            "names": (b"# ids\np1\n\nsp|P2|X\n", (["p1", "sp|P2|X"], {})),
            "a sequence in lines": (b">p1 of man\nMC\nh*\n", (["p1"], {"p1": "MCH"})),
            "a protein in the files of two ions": (TOOL_TRAINING + b">p1\nMCH\n001\n",
                                                   (["p1", "p2"], {"p1": "MCH", "p2": "CC"})),
        },
    ),
    *refused(
        "training proteins of a tool",
        {
            "two sequences of a protein": (TOOL_TRAINING + b">p1\nMC\n", ":7: 'p1' comes again with another sequence"),
            "a protein without a sequence": (b">p1\n>p2\nMC\n", ":1: 'p1' has no sequence"),
            "gaps": (b">p1\nM-C\n", ":2: '-' in the sequence of 'p1', expected A-Z"),
            "a table": (TOOL_TABLE.replace(b"\t", b" "), ":1: expected one name, found 'protein position"),
        },
    ),
]  # fmt: skip
