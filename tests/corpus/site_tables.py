"""Tables of binding residues that others noted, each with one site of zinc."""

BIOLIP = (
    b"1abc\tA\t1.50\tBS01\tZN\tB\t1\tH70 D-3 H72A\tH3 D4 H5\t\t\t3.4\tGO\t\t\t\t\tO28085\t1\t201\tMKHDHC\n"
    b"1abc\tA\t1.50\tBS02\tATP\tB\t1\tH70\tH3\t\t\t3.4\tGO\t\t\t\t\tO28085\t1\t202\tMKHDHC\n"
)
UNIPROT_TEXT = (
    b'ID   T_HUMAN  Reviewed;  4 AA.\nAC   P1; Q1;\nFT   BINDING         3\nFT                   /ligand="Zn(2+)"\n'
    b"SQ   SEQUENCE   4 AA;\n     MKHD\n//\n"
)
UNIPROT_TABLE = b'Entry\tSequence\tBinding site\nP1\tMKHD\tBINDING 3; /ligand="Zn(2+)"; /evidence="ECO:1"\n'
UNIPROT_JSON = (
    b'{"results": [{"primaryAccession": "P1", "sequence": {"value": "MKHD"}, "features": [{"type": "Binding site",'
    b' "location": {"start": {"value": 3}, "end": {"value": 3}}, "ligand": {"name": "Zn(2+)"}}]}]}\n'
)
