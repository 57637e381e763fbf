"""One small structure in the formats of the Protein Data Bank."""

import io

# Chain A: M, selenomethionine, C with an insertion code, K at -1 further on; then zinc, water; chain B: H.
_ATOMS = [
    ("ATOM", "N", "MET", "A", 10, "", 20.0),
    ("ATOM", "CA", "MET", "A", 10, "", 21.0),
    ("HETATM", "CA", "MSE", "A", 11, "", 22.0),
    ("ATOM", "CA", "CYS", "A", 11, "A", 23.0),
    ("ATOM", "CA", "LYS", "A", -1, "", 24.0),
    ("ATOM", "CA", "HIS", "B", 10, "", 25.0),
    ("HETATM", "ZN", "ZN", "A", 90, "", 26.0),
    ("HETATM", "O", "HOH", "A", 91, "", 27.0),
]
LETTERS = {"A": "MMCK", "B": "H"}
NAMES = {"A": [("A", 10, ""), ("A", 11, ""), ("A", 11, "A"), ("A", -1, "")], "B": [("B", 10, "")]}
"""Chain, number and insertion code of each residue."""


def pdb() -> bytes:
    """In PDB format."""
    lines = [
        "HEADER    METAL BINDING PROTEIN                   01-JAN-00   1ABC",
        "REMARK   2 RESOLUTION. 1.90 ANGSTROMS.",
    ]
    for number, (record, atom, kind, chain, residue, code, factor) in enumerate(_ATOMS, start=1):
        name = f" {atom:<3}" if record == "ATOM" or kind == "MSE" else f"{atom:>2}  "
        xyz = f"{number * 1.5:8.3f}{2.0:8.3f}{-3.25:8.3f}{1.0:6.2f}{factor:6.2f}"
        lines.append(
            f"{record:<6}{number:5d} {name} {kind:>3} {chain}{residue:4d}{code or ' '}   {xyz}          {atom[0]:>2}"
        )
    return "\n".join([*lines, "TER", "END", ""]).encode()


def cif() -> bytes:
    """In mmCIF."""
    names = (
        "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id label_seq_id "
        "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_comp_id auth_asym_id "
        "auth_atom_id pdbx_PDB_model_num"
    )
    lines = ["data_1ABC", "_entry.id 1ABC", "_struct.title 'A protein; with zinc'", "loop_"]
    lines += [f"_atom_site.{name}" for name in names.split()]
    for number, (record, atom, kind, chain, residue, code, factor) in enumerate(_ATOMS, start=1):
        lines.append(
            f"{record} {number} {atom[0]} {atom} . {kind} X{chain} 1 {number} {code or '?'} {number * 1.5} 2.0 -3.25 "
            f"1.0 {factor} {residue} {kind} {chain} {atom} 1"
        )
    return "\n".join([*lines, "#", "_exptl.method X-RAY", ""]).encode()


def binary_cif() -> bytes:
    """The structure of `cif` in BinaryCIF."""
    from biotite.structure.io.pdbx import (
        BinaryCIFBlock,
        BinaryCIFCategory,
        BinaryCIFColumn,
        BinaryCIFFile,
        CIFFile,
    )

    block = CIFFile.deserialize(cif().decode()).block
    file = BinaryCIFFile()
    file["x"] = BinaryCIFBlock(
        {
            name: BinaryCIFCategory({key: BinaryCIFColumn(column.as_array(str)) for key, column in block[name].items()})
            for name in block
        }
    )
    sink = io.BytesIO()
    file.write(sink)
    return sink.getvalue()


def endless_binary_cif() -> bytes:
    """The same with a coordinate that is repeated two billion times."""
    import struct

    import msgpack

    content = msgpack.unpackb(binary_cif(), raw=False)
    (sites,) = (part for part in content["dataBlocks"][0]["categories"] if part["name"] == "_atom_site")
    column = next(column for column in sites["columns"] if column["name"] == "Cartn_x")
    runs = {"kind": "RunLength", "srcType": 3, "srcSize": 2**31 - 1}
    values = struct.pack("<ii", 1, 2**31 - 1)
    column["data"] = {"data": values, "encoding": [runs, {"kind": "ByteArray", "type": 3}]}
    return bytes(msgpack.packb(content))
