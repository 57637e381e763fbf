"""Proteins, labels, alignments, groups, folds, variants and structures."""

import gzip

from corpus.case import Case, looks, read, refused, wrecks
from corpus.readers import PARENT
from corpus.structures import LETTERS, NAMES, cif, pdb
from corpus.valid import ALIGNMENT, CLUSTERS, FOLDS, LABELS, PROTEINS, VARIANTS

_CUT = r":\d+: gzip data is damaged or cut short"
_PROTEINS = [("a", "MKTAYIAK", 1), ("b", "MKXU", 4)]

PROTEIN_CASES = [
    *looks("protein FASTA", PROTEINS, _PROTEINS),
    *wrecks("protein FASTA", PROTEINS, empty=": holds no sequence", binary=":5: not text", cut=_CUT),
    *read(
        "protein FASTA",
        {
            "blank lines between": (b"\n>a\n\nMK\n\nTA\n", [("a", "MKTA", 2)]),
            "tabs in a header": (b">a\tMK\tx\nMKTA\n", [("a", "MKTA", 1)]),
            "bars in a name": (b">sp|P1|X_HUMAN more\nMK\n", [("sp|P1|X_HUMAN", "MK", 1)]),
            "blanks before and after": (b"  >a \n MKTA \n", [("a", "MKTA", 1)]),
            "a stop at the end": (b">a\nMKTA*\n", [("a", "MKTA", 1)]),
            "two of one sequence": (b">a\nMK\n>b\nMK\n", [("a", "MK", 1), ("b", "MK", 3)]),
            "paths in a name": (b">../../x\nMK\n", [("../../x", "MK", 1)]),
            "a formula for a name": (b">=1+1\nMK\n", [("=1+1", "MK", 1)]),
            "markup in a name": (b"><script>alert(1)</script>\nMK\n", [("<script>alert(1)</script>", "MK", 1)]),
        },
    ),
    *refused(
        "protein FASTA",
        {
            "a dot": (b">a\nMK\nA.C\n", ":3: 'a': '.' at residue 4, expected A-Z"),
            "a stop within": (b">a\nM*K\n", r":2: 'a': '\*' at residue 2"),
            "a stop at the end of a line": (b">a\nMK*\nA\n", r":2: 'a': '\*' at residue 3"),
            "two stops": (b">a\nMK**\n", r":2: 'a': '\*' at residue 3"),
            "nothing but a stop": (b">a\n*\n", ":1: 'a' has no sequence"),
            "no sequence": (b">a\n>b\nMK\n", ":1: 'a' has no sequence"),
            "no sequence at the end": (b">a\nMK\n>b\n", ":3: 'b' has no sequence"),
            "no name": (b">\nMK\n", ":1: the header holds no name"),
            "a name that a terminal obeys": (
                b">a\x1b]0;x\x07\nMK\n",
                r":1: 'a\\x1b\]0;x\\x07' holds a control character, expected a name that can be printed",
            ),
            "a name that turns the writing": (">a\u202eb\nMK\n", r":1: 'a\\u202eb' holds a control character"),
            "one name twice": (b">a\nMK\n>a x\nMK\n", ":3: 'a' comes twice, first in line 1"),
            "a line before the first header": (b"MK\nMK\n>a\nMK\n", ":1: expected '>' and a header, found 'MK'"),
            "letters of another script": (">a\n\u041c\u041a\n", ":2: 'a': '\u041c' at residue 1"),
            "lone carriage returns": (b">a\rMK\r", ":1: lines end in carriage returns alone, expected LF or CRLF"),
            "several problems at once": (b">a\nM1\n>a\nM-\n>\n", r": 5 problems\n[^\n]*:2: 'a': '1' at residue 2"),
            "a sequence of 17 million letters": (lambda: b">a\n" + b"A" * 17_000_000, ":2: a line of more than"),
            "a sequence of 17 million letters on many lines": (
                lambda: b">a\n" + (b"A" * 1_000_000 + b"\n") * 17,
                ":1: 'a' has more than 16,777,216 residues",
            ),
            "gzip of a line without end": (
                lambda: gzip.compress(b">a\n" + b"A" * 17_000_000, 1),
                ":2: a line of more than",
            ),
        },
    ),
]

_LABELLED = [("a", "MKT", "010", 1), ("b|1", "MKXU", "0000", 5)]
LABEL_CASES = [
    *looks("label FASTA", LABELS, _LABELLED),
    *wrecks("label FASTA", LABELS, empty=": holds no protein", binary=":7: not text", cut=_CUT),
    *read(
        "label FASTA",
        {
            "blank lines between": (b">a\n\nMK\n\n\n01\n", [("a", "MK", "01", 1)]),
            "blanks around": (b" >a \n MK \n 01 \n", [("a", "MK", "01", 1)]),
            "no site at all": (b">a\nMK\n00\n", [("a", "MK", "00", 1)]),
            "unknown labels": (b">a\nMKT\n0?1\n>b\nMK\n??\n", [("a", "MKT", "0-11", 1), ("b", "MK", "-1-1", 4)]),
        },
    ),
    *refused(
        "label FASTA",
        {
            "an id that a terminal obeys": (b">a\x9b2J\nMK\n01\n", ":1: not text"),
            "an id with an escape": (b">a\x1b[2J\nMK\n01\n", r":1: 'a\\x1b\[2J' holds a control character"),
            "too few labels": (b">a\nMKT\n01\n", ":3: 'a': 2 labels for 3 residues"),
            "too many labels": (b">a\nMK\n0101\n", ":3: 'a': 4 labels for 2 residues"),
            "a label of no known kind": (b">a\nMK\n0x\n", r":3: 'a': label 2 is 'x', expected 0, 1 or \?"),
            "a question mark for a residue": (b">a\nM?\n01\n", r":2: 'a': residue 2 is '\?', expected A-Z"),
            "unknown labels and no sequence": (b">a\n0?1\n", ":1: 'a': the sequence is missing"),
            "a label of 2": (b">a\nMK\n02\n", ":3: 'a': label 2 is '2', expected 0, 1 or "),
            "a negative label": (b">a\nMK\n-1\n", ":3: 'a': label 1 is '-'"),
            "labels parted by blanks": (b">a\nMK\n0 1\n", r": 2 problems\n[^\n]*:3: 'a': label 2 is ' '"),
            "a gap": (b">a\nM-K\n010\n", ":2: 'a': residue 2 is '-', expected A-Z"),
            "a stop": (b">a\nMK*\n010\n", r":2: 'a': residue 3 is '\*'"),
            "a letter of another script": (">a\nMß\n01\n", ":2: 'a': residue 2 is 'ß'"),
            "a blank in the sequence": (b">a\nM K\n010\n", ":2: 'a': residue 2 is ' '"),
            "no id": (b"> \nMK\n01\n", ":1: the header holds no id"),
            "lone carriage returns": (LABELS.replace(b"\n", b"\r"), ":1: lines end in carriage returns alone"),
            "no labels": (
                b">a\nMK\n>b\nMK\n01\n",
                ":1: 'a': the label line is missing, found the next header in line 3",
            ),
            "no sequence": (
                b">a\n01\n>b\nMK\n01\n",
                ":1: 'a': the sequence is missing, found the next header in line 3",
            ),
            "a header at the end": (
                b">b\nMK\n01\n>a\n",
                ":4: 'a': the sequence and the label line are missing, found the end",
            ),
            "cut after the sequence": (b">b\nMK\n01\n>a\nMK\n", ":4: 'a': the label line is missing, found the end"),
            "two label lines": (b">b\nMK\n01\n01\n11\n>a\nMK\n01\n", ":4: expected '>' and an id, found '01'"),
            "a line before the first header": (b"MK\n01\n>a\nMK\n01\n", ":1: expected '>' and an id, found 'MK'"),
            "an id again, another sequence": (
                b">a\nMK\n01\n>a x\nMR\n01\n",
                ":4: 'a' comes again, with another sequence; first in line 1",
            ),
            "an id again, other labels": (b">a\nMK\n01\n>a\nMK\n11\n", ":4: 'a' comes again, with other labels"),
            "a record again": (b">a\nMK\n01\n>a\nmk\n01\n", ":4: 'a' comes again, the same in full"),
            "a wrapped sequence": (b">a\nMK\nTA\n0101\n", r": \d problems\n[^\n]*:\d: "),
            "a sequence of 17 million letters": (lambda: b">a\n" + b"A" * 17_000_000, ":2: a line of more than"),
        },
    ),
]

_ROWS = [("q", "MKTAY"), ("hit\t215\t0.9", "MKAAAY"), ("r", "MKTAY"), ("s", "")]
_CUT_A3M = ": cannot be read: |: holds no"
ALIGNMENT_CASES = [
    *looks("A3M", ALIGNMENT, _ROWS),
    *wrecks(
        "A3M", ALIGNMENT, empty=": holds no sequence", binary=r":9: '.*' at column 6", cut=": gzip data is damaged"
    ),
    *read(
        "A3M",
        {
            "NUL bytes between alignments": (ALIGNMENT + b"\0", _ROWS),
            "A2M": (
                b">q\nMKT..AY.\n>r\nMRTkkAYm\n>s\nM-TkcAW.\n>t\n--T..AY.\n",
                [("q", "MKTAY"), ("r", "MRTKKAYM"), ("s", "MTKCAW"), ("t", "TAY")],
            ),
            "A2M without padding in some rows": (b">q\nMKT..AY\n>r\nMRTkAY\n", [("q", "MKTAY"), ("r", "MRTKAY")]),
            "stops": (
                b">q\nMKTAY*\n>r\nMK*-Y*\n>s\nMK-AW-\n",
                [("q", "MKTAY"), ("r", "MKXY"), ("s", "MKAW")],
            ),
            "stops behind the last column": (
                b">q\nMKT\n>r\nM*T*\n>s\nMKa*\n",
                [("q", "MKT"), ("r", "MXT"), ("s", "MKA")],
            ),
            "comments between records": (b"#a\n>q\nMK\n# late\nTA\n#\n>r\nMRTA\n#", [("q", "MKTA"), ("r", "MRTA")]),
            "the query again after NUL": (
                b">q\nMK\n>r\nMR\n\0>q2\nMK\n>s\nMH\n\0",
                [("q", "MK"), ("r", "MR"), ("q2", "MK"), ("s", "MH")],
            ),
            "another query after NUL": (b">q\nMK\n>r\nMR\n\0>q2\nMW\n>s\nMH\n\0", [("q", "MK"), ("r", "MR")]),
            "another query after NUL, of another length": (b">q\nMK\n\0>q2\nMWKL\n>s\nMHKL\n\0", [("q", "MK")]),
            "wrapped lines": (b">q\nMK\nTAY\n\n>r\nM-\nxTAY\n", [("q", "MKTAY"), ("r", "MXTAY")]),
            "one name twice": (b">q\nMK\n>q\nM-\n", [("q", "MK"), ("q", "M")]),
            "no name": (b">\nMK\n", [("", "MK")]),
            "bytes that are no text in a header": (b">q\xff\nMK\n", [("q\ufffd", "MK")]),
            "annotation rows first": (
                b">ss_pred PSIPRED\nCHHHC\n>ss_conf PSIPRED\n98\n765\n>ss_dssp\nC-HEC\n" + ALIGNMENT,
                _ROWS,
            ),
            "annotation rows last": (ALIGNMENT + b">sa_dssp\nABCDE\n>aa_dssp\nMKTAY\n>aa_pred\n-----\n", _ROWS),
            "annotation rows within": (
                b">q\nMK\n>ss_pred\nHH\n>sa_conf\n97\n>tm_pred\n\n>r\nMR\n",
                [("q", "MK"), ("r", "MR")],
            ),
            "names that only look like annotation": (
                b">q\nMK\n>tm_prediction\nMR\n>my_ss_pred\nMH\n>SS_PRED\nMY\n>aa\nMV\n",
                [("q", "MK"), ("tm_prediction", "MR"), ("my_ss_pred", "MH"), ("SS_PRED", "MY"), ("aa", "MV")],
            ),
            "names that the HH-suite takes for annotation by their beginning": (
                b">q\nMK\n>ss_prediction\n()\n>sa_4\n09\n>aa_astr\nMK\n>ss_\n\n>r\nMR\n",
                [("q", "MK"), ("r", "MR")],
            ),
            "a consensus first": (
                b">q_consensus x\nMK\n>r\nMR\n>s\nMH\n".replace(b"q_", b"p_"),
                [("r", "MR"), ("s", "MH")],
            ),
            "a consensus within": (b">q\nMK\n>q1_consensus\nMR\n>Consensus\nMW\n>s\nMH\n", [("q", "MK"), ("s", "MH")]),
            "a consensus alone": (b">ss_dssp\nHH\n>Consensus\nMK\n", [("Consensus", "MK")]),
            "a query in lower case": (b">q\nmk\n>r\nmkt\n", [("q", "MK"), ("r", "MKT")]),
        },
    ),
    *refused(
        "A3M",
        {
            "only a comment": (b"#5\t1\n", ": holds no sequence"),
            "only annotation": (b">ss_pred\nHHH\n>ss_conf\n999\n", ": holds no sequence"),
            "a byte order mark within": (b">q\nMK\n\xef\xbb\xbf>r\nMK\n", ":3: "),
            "lone carriage returns": (ALIGNMENT.replace(b"\n", b"\r"), r":\d: lines end in carriage returns alone"),
            "a stop in excess": (b">q\nMKTAY\n>r\nMKT*AY\n", ":3: 6 columns without insertions, the query has 5"),
            "no header": (b"MKTAY\n", ":1: expected '>' and a header, found 'MKTAY'"),
            "an empty record": (b">q\n>r\nMK\n", ":1: record 'q' has no sequence"),
            "an empty record at the end": (b">q\nMK\n>r\n", ":3: record 'r' has no sequence"),
            "a blank": (b">q\nMK TAY\n", ":2: ' ' at column 3"),
            "a row that is too short": (b">q\nMKTAY\n>r\nMKaTA\n", ":3: 4 columns without insertions, the query has 5"),
            "a row that is too long": (b">q\nMK\n>r\nMKT\n", ":3: 3 columns without insertions, the query has 2"),
            "a line of 17 million letters": (lambda: b">q\n" + b"A" * 17_000_000, ":2: a line of more than"),
            "a record of 17 million letters on many lines": (
                lambda: b">q\n" + (b"A" * 1_000_000 + b"\n") * 17,
                ":1: record 'q' has more than 16,777,216 letters",
            ),
            "gzip of a line without end": (
                lambda: gzip.compress(b">q\n" + b"A" * 17_000_000, 1),
                ":2: a line of more than",
            ),
        },
    ),
]

_GROUPS = [0, 1, 0]
TABLE_CASES = [
    *looks("cluster table", CLUSTERS, _GROUPS),
    *wrecks(
        "cluster table", CLUSTERS, empty=r": (holds no clusters|4 problems\n[^\n]*)", binary=":4: not text", cut=_CUT
    ),
    *read(
        "cluster table",
        {
            "MMseqs2's": (b"a\ta\na\tc\nb\tb\n", _GROUPS),
            "blanks": (b"a a\na  c\nb b\n", _GROUPS),
            "commas": (b"cluster,protein\n1,a\n2,b\n1,c\n", _GROUPS),
            "a header in capitals": (b"Protein\tGroup\na\t1\nb\t2\nc\t1\n", _GROUPS),
            "a row twice": (CLUSTERS + b"a\t1\n", _GROUPS),
            "rows of other proteins": (CLUSTERS + b"z\t1\n", _GROUPS),
        },
    ),
    *refused(
        "cluster table",
        {
            "one column": (
                b"protein\tcluster\na\t1\nb\nc\t1\n",
                r": 2 problems\n[^\n]*:3: expected two columns, found 1: 'b'",
            ),
            "three columns": (CLUSTERS + b"d\t1\t2\n", ":5: expected two columns, found 3"),
            "an empty field": (CLUSTERS + b"d\t\n", ":5: expected two columns, found 2"),
            "a protein in two clusters": (CLUSTERS + b"a\t2\n", ":5: protein 'a' is in cluster '2', and in '1' before"),
            "a protein without a row": (b"protein\tcluster\na\t1\nb\t2\n", ": protein 'c' has no row"),
            "a line of 17 million letters": (lambda: CLUSTERS + b"A" * 17_000_000, ":5: a line of more than"),
        },
    ),
    *looks("folds", FOLDS, [1, 2, 1]),
    *wrecks("folds", FOLDS, empty=r": 3 problems", binary=":4: not text", cut=_CUT),
    *read(
        "folds",
        {
            "tabs": (FOLDS.replace(b",", b"\t"), [1, 2, 1]),
            "id for protein": (FOLDS.replace(b"protein", b"ID"), [1, 2, 1]),
            "columns in another order": (b"x,fold,protein\n1,1,a\n1,2,b\n,3,c\n", [1, 2, 3]),
            "quoted": (b'protein,fold\n"a","1"\n"b","2"\n"c","1"\n', [1, 2, 1]),
            "a row twice": (FOLDS + b"a,1,g\n", [1, 2, 1]),
            "other proteins": (FOLDS + b"z,7,g\n", [1, 2, 1]),
        },
    ),
    *refused(
        "folds",
        {
            "no header": (b"a,1\nb,2\nc,1\n", ":1: expected a header with the columns protein and fold, found 'a,1'"),
            "a fold that is a word": (
                b"protein,fold\na,one\nb,2\nc,1\n",
                ":2: fold 'one' of protein 'a', expected a number from 1",
            ),
            "fold 0": (b"protein,fold\na,0\nb,2\nc,1\n", ":2: fold '0' of protein 'a'"),
            "a fold of thirty digits": (
                b"protein,fold\na," + b"9" * 30 + b"\nb,2\nc,1\n",
                ":2: fold '9+' of protein 'a'",
            ),
            "a fold of 5000 digits": (
                b"protein,fold\na," + b"9" * 5000 + b"\nb,2\nc,1\n",
                ":2: fold '9+' of protein 'a'",
            ),
            "folds with a gap": (b"protein,fold\na,1\nb,3\nc,1\n", r": the proteins lie in the folds \[1, 3\]"),
            "one fold": (b"protein,fold\na,1\nb,1\nc,1\n", r": the proteins lie in the folds \[1\]"),
            "a protein in two folds": (FOLDS + b"a,2,g\n", ":5: protein 'a' is in fold 2, and in fold 1 before"),
            "a protein without a row": (b"protein,fold\na,1\nb,2\n", ": protein 'c' has no fold"),
            "a short row": (FOLDS + b"z\n", ":5: expected a protein and a fold, found 'z'"),
            "a field of 200,000 letters": (
                FOLDS + b"x" * 200_000 + b",1,g\n",
                ":5: not a row of a table: field larger than",
            ),
            "a carriage return in a row": (FOLDS + b"z\rx,1,g\n", ":5: not a row of a table: new-line character"),
        },
    ),
]

_VARIANTS = {"K2R": "MRTAYIAKQR", "M1A:T3C": "AKCAYIAKQR", "A4C": "MKTCYIAKQR"}
assert PARENT == "MKTAYIAKQR"
VARIANT_CASES = [
    *looks("variants", VARIANTS, _VARIANTS),
    *read(
        "variants",
        {
            "blanks around": (b"  K2R \t\n", {"K2R": "MRTAYIAKQR"}),
            "the parent's own letter": (b"K2K\n", {"K2K": PARENT}),
        },
    ),
    *refused(
        "variants",
        {
            "missing": (None, ": cannot be read: No such file"),
            "empty": (b"", ": holds no variant"),
            "only comments": (b"# K2R\n", ": holds no variant"),
            "no UTF-8": (b"K2R\n\xff\n", ":2: not text"),
            "another letter": (b"K2R\nT2R\n", ":2: 'T2R': residue 2 of the parent is K"),
            "beyond the end": (b"K99R\n", ":1: 'K99R': the parent has 10 residues"),
            "a number of 5000 digits": (b"K" + b"9" * 5000 + b"R\n", ":1: 'K9+': the parent has 10 residues"),
            "residue 0": (b"K0R\n", ":1: 'K0R', expected a substitution such as A24G"),
            "a deletion": (b"K2-\n", ":1: 'K2-', expected a substitution"),
            "lower case": (b"k2r\n", ":1: 'k2r', expected a substitution"),
            "a residue twice": (b"K2R:K2C\n", ":1: 'K2R:K2C': residue 2 is substituted twice"),
            "commas": (b"K2R,T3C\n", ":1: 'K2R,T3C', expected a substitution"),
            "to X": (b"K2X\n", ":1: 'K2X', expected a substitution"),
        },
    ),
]


def _pdb(old: bytes, new: bytes) -> bytes:
    content = pdb()
    assert old in content
    return content.replace(old, new)


_PDB_LINE = b"ATOM      1  CA  ALA A   1       0.000   0.000   0.000  1.00  0.00\n"
STRUCTURE_CASES = [
    *looks("PDB", pdb(), (LETTERS, NAMES)),
    *looks("mmCIF", cif(), (LETTERS, NAMES)),
    *wrecks("PDB", pdb(), empty=": holds no atom of an amino acid", binary=":12: not text", cut=_CUT),
    *wrecks("mmCIF", cif(), empty=": no structure in mmCIF", binary=r":\d+: not text", cut=_CUT),
    *read(
        "PDB",
        {
            "one atom": (_PDB_LINE, ({"A": "A"}, {"A": [("A", 1, "")]})),
            "no chain name": (_PDB_LINE.replace(b"ALA A", b"ALA  "), ({"": "A"}, {"": [("", 1, "")]})),
            "short lines": (_PDB_LINE[:30], ({"A": "A"}, {"A": [("A", 1, "")]})),
            "numbers in hybrid-36": (
                _PDB_LINE.replace(b"    1  CA", b"A0000  CA").replace(b"A   1 ", b"AA000 ")
                + _PDB_LINE.replace(b"    1  CA", b"*****  CA").replace(b"A   1 ", b"Aa001 "),
                ({"A": "AA"}, {"A": [("A", 10_000, ""), ("A", 1_223_057, "")]}),
            ),
            "water and ions with odd numbers": (
                _PDB_LINE
                + b"HETATM*****  O   HOH AA000       0.000   0.000   0.000\n"
                + b"HETATMA0000  O   HOH A****       0.000   0.000   0.000\n"
                + b"HETATM    4 ZN    ZN A 1_0\nHETATM    5\nATOM      6  P   DA  B  xx\nCONECT*****A0000    1\n"
                + b"TER   *****      ALA A   x\nMASTER   odd\n",
                ({"A": "A"}, {"A": [("A", 1, "")]}),
            ),
            "no element, no B-factor, a charge": (
                _PDB_LINE[:54] + b"\n" + _PDB_LINE.replace(b"A   1 ", b"A  -2B").rstrip() + b"           O1-\n",
                ({"A": "AA"}, {"A": [("A", 1, ""), ("A", -2, "B")]}),
            ),
            "chains that are signs": (
                _PDB_LINE.replace(b"ALA A", b"ALA ;") + _PDB_LINE.replace(b"ALA A", b"ALA '"),
                ({";": "A", "'": "A"}, {";": [(";", 1, "")], "'": [("'", 1, "")]}),
            ),
            "two models": (
                b"MODEL        1\n" + _PDB_LINE + b"ENDMDL\nMODEL        2\n" + _PDB_LINE + b"ENDMDL\n",
                ({"A": "A"}, {"A": [("A", 1, "")]}),
            ),
        },
    ),
    *read(
        "mmCIF",
        {
            "no insertion codes and no B-factors": (
                b"data_x\n_atom_site.auth_asym_id A\n_atom_site.auth_seq_id 1\n_atom_site.label_comp_id ALA\n",
                ({"A": "A"}, {"A": [("A", 1, "")]}),
            ),
            "a block of ligands before the atoms": (
                lambda: b"data_comp_ZN\n_chem_comp.id ZN\n#\n" + cif(),
                (LETTERS, NAMES),
            ),
            "a block after the atoms": (lambda: cif() + b"data_comp_ZN\n_chem_comp.id ZN\n", (LETTERS, NAMES)),
            "a chain with a command": (
                cif().replace(b" MET A ", b" MET 'A; quit' ").replace(b" MSE A ", b" MSE 'A; quit' "),
                (
                    {"A; quit": "MM", "A": "CK", "B": "H"},
                    {
                        "A; quit": [("A; quit", 10, ""), ("A; quit", 11, "")],
                        "A": [("A", 11, "A"), ("A", -1, "")],
                        "B": [("B", 10, "")],
                    },
                ),
            ),
        },
    ),
    *read("PDB", {"mmCIF by another name": (cif, (LETTERS, NAMES))}),
    *read("mmCIF", {"PDB by another name": (pdb, (LETTERS, NAMES))}),
    *read("PDB", {"mmCIF after comments": (lambda: b"# a\n\n" + cif(), (LETTERS, NAMES))}),
    *refused(
        "PDB",
        {
            "only a header": (b"HEADER\n", ": holds no atom of an amino acid"),
            "only water": (_PDB_LINE.replace(b"ALA", b"HOH"), ": holds no atom of an amino acid"),
            "a word for a residue number": (
                _pdb(b" A  10 ", b" A  xx "),
                ":3: expected a residue number in columns 23-26, found 'xx'",
            ),
            "no residue number": (
                _PDB_LINE.replace(b"A   1 ", b"A     "),
                ":1: expected a residue number in columns 23-26, found ''",
            ),
            "a residue number that did not fit": (
                _PDB_LINE.replace(b"A   1 ", b"A**** "),
                ":1: expected a residue number in columns 23-26, found '\\*\\*\\*\\*'",
            ),
            "hybrid-36 of both cases": (
                _PDB_LINE.replace(b"A   1 ", b"AAa00 "),
                ":1: expected a residue number in columns 23-26, found 'Aa00'",
            ),
            "a number with an underscore": (
                _pdb(b" A  10 ", b" A 1_0 "),
                ":3: expected a residue number in columns 23-26, found '1_0'",
            ),
        },
    ),
    *refused(
        "mmCIF",
        {
            "no atoms": (b"data_x\n_entry.id x\n", ": no structure in mmCIF: .*atom_site"),
            "only text": (b"nothing\n", ": no structure in mmCIF"),
            "a row that is cut": (lambda: cif()[: cif().index(b"CYS")], ": no structure in mmCIF"),
            "no B-factors": (
                b"data_x\nloop_\n_atom_site.id\n_atom_site.auth_asym_id\n1 A\n",
                ": no structure in mmCIF",
            ),
            "columns of different length": (
                b"data_x\n_atom_site.auth_asym_id A\n_atom_site.auth_seq_id 1\n"
                b"loop_\n_atom_site.label_comp_id\nALA\nGLY\n",
                ": no structure in mmCIF",
            ),
            "a column that comes twice": (
                cif().replace(b"_atom_site.label_entity_id", b"_atom_site.id"),
                ": no structure in mmCIF: columns of atom_site have different lengths: .*'id': 16",
            ),
            "a residue number of 5000 digits": (
                cif()
                .replace(b" 10 MET", b" " + b"9" * 5000 + b" MET")
                .replace(b" 11 MSE", b" x MSE")
                .replace(b" 11 CYS", b" x CYS")
                .replace(b" -1 LYS", b" x LYS")
                .replace(b" 10 HIS", b" x HIS")
                .replace(b" 90 ZN", b" x ZN"),
                ": holds no atom of an amino acid",
            ),
        },
    ),
]

CASES: list[Case] = [
    *PROTEIN_CASES,
    *LABEL_CASES,
    *ALIGNMENT_CASES,
    *TABLE_CASES,
    *VARIANT_CASES,
    *STRUCTURE_CASES,
]
