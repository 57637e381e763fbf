"""What labels are made of: structures as entries, BioLiP, UniProt."""

import re

from corpus.case import looks, read, refused, wrecks
from corpus.site_tables import BIOLIP, UNIPROT_JSON, UNIPROT_TABLE, UNIPROT_TEXT
from corpus.structures import binary_cif, cif, endless_binary_cif, pdb

_ENTRY = ([("A", "MMCK"), ("B", "H")], 8, 1, 0)
_LINE = b"ATOM      1  CA  ALA A   1       1.000   2.000   3.000  1.00  0.00           C  \n"
_ALANINE = ([("A", "A")], 1, 1, 0)
_POLYMER = b"loop_\n_entity_poly_seq.entity_id\n_entity_poly_seq.num\n_entity_poly_seq.mon_id\n"
_WHOLE = b"".join(b"1 %d %s\n" % row for row in enumerate((b"MET", b"MSE", b"CYS", b"LYS"), start=1))
_COLUMNS = b"group_PDB type_symbol label_comp_id label_asym_id label_entity_id label_seq_id Cartn_x"
_UNIT = b"data_x\nloop_\n" + b"".join(b"_atom_site.%s\n" % name for name in (*_COLUMNS.split(), b"Cartn_y", b"Cartn_z"))
_OPERATIONS = (
    b"_pdbx_struct_assembly_gen.assembly_id 1\n_pdbx_struct_assembly_gen.oper_expression (X0)(1-3)(1,2)\n"
    b"_pdbx_struct_assembly_gen.asym_id_list A\nloop_\n_pdbx_struct_oper_list.id\n"
    + b"".join(b"_pdbx_struct_oper_list.matrix[%d][%d]\n" % (row, column) for row in (1, 2, 3) for column in (1, 2, 3))
    + b"".join(b"_pdbx_struct_oper_list.vector[%d]\n" % row for row in (1, 2, 3))
    + b"".join(b"%s 1 0 0 0 1 0 0 0 1 0 0 %d\n" % (name, at) for at, name in enumerate((b"X0", b"1", b"2", b"3")))
)
_SEQUENCE = b"SEQRES   1 A    4  GLY ALA HIS MSE\n"
_REMARK = b"".join(
    b"REMARK 350   BIOMT%d   %d %s        0.00000\n" % (row, copy, values)
    for copy in (1, 2)
    for row, values in (
        (1, b" 1.000000  0.000000  0.000000"),
        (2, b" 0.000000  1.000000  0.000000"),
        (3, b" 0.000000  0.000000  1.000000"),
    )
)
_ASSEMBLY = b"REMARK 350 BIOMOLECULE: 1\nREMARK 350 APPLY THE FOLLOWING TO CHAINS: A\n" + _REMARK
_BIOLIP = [("1abc", "A", "ZN", "201", [("H", "70", 3), ("D", "-3", 4), ("H", "72A", 5)], "MKHDHC")]
_UNIPROT = [("P1", "MKHD", [(3, 3, "", "Zn(2+)", "")])]


CASES = [
    *looks("entry in PDB", pdb(), _ENTRY),
    *wrecks("entry in PDB", pdb(), empty=": no structure: there is no atom", binary=":12: not text", cut=None),
    *read(
        "entry in PDB",
        {
            "a sequence with more residues": (_SEQUENCE + _LINE, ([("A", "GAHM")], 1, 1, 0)),
            "a parent that the file names": (
                b"MODRES 1ABC ??Q A    2  LYS\nSEQRES   1 A    2  ALA ??Q\n" + _LINE,
                ([("A", "AK")], 1, 1, 0),
            ),
            "chains without coordinates": (
                _SEQUENCE + _SEQUENCE.replace(b" A ", b" B ") + _LINE,
                ([("A", "GAHM"), ("B", "GAHM")], 1, 1, 0),
            ),
            "nucleotides": (b"SEQRES   1 A    2   DA  DG\n" + _LINE.replace(b"ALA", b" DA"), ([], 1, 1, 0)),
            "two models": (
                b"MODEL        1\n" + _LINE + b"ENDMDL\nMODEL        2\n" + _LINE * 2 + b"ENDMDL\n",
                ([("A", "A")], 1, 2, 0),
            ),
            "selenomethionine without SEQRES": (
                _LINE + _LINE.replace(b"ATOM  ", b"HETATM").replace(b"ALA A   1", b"MSE A   2"),
                ([("A", "AM")], 2, 1, 0),
            ),
            "no element": (_LINE[:60] + b"\n", _ALANINE),
            "an assembly of two copies": (_ASSEMBLY + _LINE, ([("A", "A")], 1, 1, 2)),
            "an assembly of another number": (_ASSEMBLY.replace(b": 1\n", b": 7\n") + _LINE, _ALANINE),
            "hydrogen alone": (_LINE.replace(b" C  \n", b" H  \n").replace(b" CA ", b" H  "), ([("A", "A")], 0, 1, 0)),
            "mmCIF by another name": (cif(), _ENTRY),
            "text after the end": (_LINE + b"END\nsome words\n", _ALANINE),
            "a model without an end": (
                b"MODEL        1\n" + _LINE + b"MODEL        2\n" + _LINE,
                ([("A", "A")], 1, 2, 0),
            ),
            "two residues at one place": (
                _LINE.replace(b" CA  ALA", b" CA AALA") + _LINE.replace(b" CA  ALA", b" CA BSER"),
                ([("A", "A")], 2, 1, 0),
            ),
            "amino acids of the other hand": (
                b"SEQRES   1 A    3  DAL DHI GLY\n" + _LINE.replace(b"ATOM  ", b"HETATM").replace(b"ALA", b"DAL"),
                ([("A", "AHG")], 1, 1, 0),
            ),
            "modified residues": (
                b"SEQRES   1 A   10  MSE SEP CSO KCX PTR TPO UNK SEC PYL CRO\n" + _LINE.replace(b"ALA", b"MSE"),
                ([("A", "MSCKYTXUOX")], 1, 1, 0),
            ),
            "numbers above 9999": (
                _LINE.replace(b"A   1 ", b"A9999 ") + _LINE.replace(b"A   1 ", b"AA000 "),
                ([("A", "AA")], 2, 1, 0),
            ),
            "no name of the chain": (_LINE.replace(b" A   1", b"     1"), ([("", "A")], 1, 1, 0)),
            "more water than protein": (
                _LINE + b"".join(_LINE.replace(b"ALA A   1", b"HOH A %3d" % number) for number in range(2, 9)),
                ([("A", "A")], 8, 1, 0),
            ),
        },
    ),
    *refused(
        "entry in PDB",
        {
            "a word for a coordinate": (_LINE.replace(b"1.000 ", b"x.000 "), ": no structure: "),
            "a coordinate that is infinite": (_LINE.replace(b"   1.000", b"     inf"), ": no structure: "),
            "a word for a residue number": (_LINE.replace(b"A   1 ", b"A  xx "), ": no structure: "),
            "an assembly with a row less": (
                _ASSEMBLY.replace(b"BIOMT2   2", b"BIOMT9   2") + _LINE,
                ": no structure: REMARK 350 lacks a row BIOMT",
            ),
            "an assembly that stretches": (
                _ASSEMBLY.replace(b"1.000000", b"3.000000") + _LINE,
                ": no structure: an operation of the assembly is no rotation",
            ),
            "two structures": (
                _LINE + b"END\n" + _LINE,
                ": no structure: line 3 is an atom after END in line 2, expected one structure in a file",
            ),
            "no atom": (b"HEADER\nEND\n", ": no structure: there is no atom, expected mmCIF, BinaryCIF or PDB format"),
        },
    ),
    *looks("entry in mmCIF", cif(), _ENTRY),
    *wrecks("entry in mmCIF", cif(), empty=": no structure: there is no atom", binary=":34: not text", cut=None),
    *read(
        "entry in mmCIF",
        {
            "negative numbers without a sequence": (cif().replace(b" XA 1 3 ", b" XA 1 -3 "), _ENTRY),
            "no entity": (
                (cif() + _POLYMER + _WHOLE).replace(b" XA 1 ", b" XA ? ").replace(b" XB 1 ", b" XB ? "),
                _ENTRY,
            ),
            "an ion that has the unit of the protein": (
                _UNIT + b"ATOM N HIS A 1 1 2.0 0 0\nHETATM ZN ZN A 2 . 4.0 0 0\n" + _POLYMER + b"1 1 HIS\n1 2 ALA\n",
                ([("A", "HA")], 2, 1, 0),
            ),
            "two residues at one place": (
                _UNIT
                + b"ATOM N HIS A 1 1 2.0 0 0\nATOM O SER A 1 1 2.0 0 0\n"
                + _POLYMER
                + b"1 1 HIS\n1 1 SER\n1 2 ALA\n",
                ([("A", "HA")], 2, 1, 0),
            ),
            "an empty loop": (cif() + b"loop_\n_exptl_crystal.id\n_exptl_crystal.colour\n#\n", _ENTRY),
            "a dictionary beside it": (cif() + b"data_LIG\n_chem_comp.id LIG\n", _ENTRY),
            "a text of several lines": (
                cif().replace(b"_entry.id 1ABC\n", b"_entry.id\n;data_y loop_\n_atom_site.id 1\n;\n"),
                _ENTRY,
            ),
            "a longer assembly": (
                _UNIT + b"ATOM N HIS A 1 1 2.0 0 0\n" + _OPERATIONS,
                ([("A", "H")], 1, 1, 6),
            ),
            "no author's chain": (
                re.sub(rb" A (\w+) 1$", rb" ? \1 1", cif(), flags=re.MULTILINE),
                ([("XA", "MMCK"), ("B", "H")], 8, 1, 0),
            ),
            "letters of the sequence": (
                cif() + b"_entity_poly.entity_id 1\n_entity_poly.type polypeptide(L)\n"
                b"_entity_poly.pdbx_seq_one_letter_code 'MM(MSE)CKHUX'\n",
                ([("A", "MMMCKHUX"), ("B", "MMMCKHUX")], 8, 1, 0),
            ),
        },
    ),
    *refused(
        "entry in mmCIF",
        {
            "numbers of other residues": (
                cif() + _POLYMER + b"".join(b"1 %d TRP\n" % number for number in range(1, 9)),
                ": no structure: label_seq_id names other residues than entity_poly_seq",
            ),
            "two structures": (
                cif() + cif().replace(b"data_1ABC", b"data_2ABC"),
                ": no structure: the data blocks 1ABC and 2ABC have atoms, expected one structure in a file",
            ),
            "an operation that is not listed": (
                _UNIT + b"ATOM N HIS A 1 1 2.0 0 0\n" + _OPERATIONS.replace(b"(1,2)", b"(1,7)"),
                ": no structure: assembly 1 names the operation '7', which is not listed",
            ),
            "a sequence with a gap in its letters": (
                cif() + b"_entity_poly.entity_id 1\n_entity_poly.type polypeptide(L)\n"
                b"_entity_poly.pdbx_seq_one_letter_code 'MM-K'\n",
                ": no structure: entity_poly has the sequence of entity '1' with '-' in it",
            ),
            "words after the last atom": (_UNIT + b"ATOM N HIS A 1 1 2.0 0 0\nsome words\n", ": no structure: "),
            "no atoms": (b"data_x\n_entry.id x\n", ": no structure: there is no atom_site"),
            "a row that is cut": (cif()[: cif().index(b"CYS")], ": no structure: "),
            "no coordinates": (cif().replace(b"Cartn_x", b"Cartn_q"), ": no structure: there is no column Cartn_x"),
            "a coordinate that is no number": (cif().replace(b" 1.5 2.0", b" nan 2.0", 1), ": no structure: Cartn_x"),
            "a place behind the sequence": (
                cif() + _POLYMER + b"1 1 MET\n",
                ": no structure: label_seq_id lies behind the end of entity_poly_seq",
            ),
            "a sequence with a gap": (
                cif() + _POLYMER + b"1 1 MET\n1 3 ALA\n",
                ": no structure: entity_poly_seq does not number entity '1'",
            ),
        },
    ),
    *read("entry in BinaryCIF", {"as it is": (binary_cif, _ENTRY)}),
    *refused(
        "entry in BinaryCIF",
        {
            "missing": (None, ": cannot be read: .*No such file"),
            "empty": (b"", ": no structure: "),
            "cut": (lambda: binary_cif()[:-200], ": no structure: "),
            "text": (b"data_x\n", ": no structure: "),
            "a list of 4 billion": (b"\xdd\xff\xff\xff\xff", ": no structure: "),
            "a run of 2 billion": (endless_binary_cif, ": no structure: _atom_site.Cartn_x unpacks to 2147483647"),
        },
    ),
    *looks("BioLiP", BIOLIP, _BIOLIP),
    *wrecks("BioLiP", BIOLIP, empty=": holds no site", binary=":2: not text", cut=":1: gzip data is damaged"),
    *refused(
        "BioLiP",
        {
            "a column less": (BIOLIP.replace(b"\tO28085\t1", b""), ": 2 problems\n.*:1: expected 20 or 21 columns"),
            "another residue": (BIOLIP.replace(b"D4", b"D5"), ":1: column 9: D5 is not in the sequence of 6"),
            "a place of 5000 digits": (BIOLIP.replace(b"D4", b"D" + b"4" * 5000), ":1: column 9: "),
        },
    ),
    *(
        case
        for format, content in (
            ("UniProt text", UNIPROT_TEXT),
            ("UniProt table", UNIPROT_TABLE),
            ("UniProt JSON", UNIPROT_JSON),
        )
        for case in looks(format, content, _UNIPROT)
    ),
    *refused(
        "UniProt text",
        {
            "missing": (None, ": cannot be read: .*No such file"),
            "empty": (b"", ":1: expected UniProt's flat text"),
            "cut": (UNIPROT_TEXT[:-3], ":1: the entry has no end"),
            "a metal as it was before 2022": (UNIPROT_TEXT.replace(b"BINDING", b"METAL  "), ":3: METAL features"),
            "a feature that ends nowhere": (UNIPROT_TEXT.replace(b"   3\n", b"   3..\n"), ":3: expected a position"),
            "a place of 5000 digits": (UNIPROT_TEXT.replace(b"   3\n", b"   " + b"3" * 5000 + b"\n"), ":3: "),
        },
    ),
    *read(
        "UniProt table",
        {
            "as a spreadsheet writes it": (
                b'"Entry"\t"Binding site"\tSequence\nP1\t"BINDING 3; /ligand=""Zn(2+)"""\t"MKHD"\n',
                _UNIPROT,
            )
        },
    ),
    *refused(
        "UniProt table",
        {
            "no sequences": (UNIPROT_TABLE.replace(b"Sequence", b"Length"), ":1: lacks the column Sequence"),
            "a feature without a place": (UNIPROT_TABLE.replace(b"BINDING 3; ", b""), ":2: column Binding site"),
        },
    ),
    *refused(
        "UniProt JSON",
        {
            "cut": (UNIPROT_JSON[:-20], ": record 1: not JSON"),
            "other JSON": (b'{"a": 1}', ": record 1: is no entry of UniProt"),
            "a list of numbers": (b"[1, 2]", ": record 1: is no entry of UniProt"),
            "brackets": (b"[" * 100_000, ": record 1: "),
        },
    ),
]
