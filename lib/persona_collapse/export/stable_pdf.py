"""The same PDF for the same figure: objects and resources in one order, which the library that draws them leaves to chance."""

import re

_START = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*$")
_TABLE = re.compile(rb"xref\n0 (\d+)\n")
_REFERENCE = re.compile(rb"(?<![\d.])(\d+) 0 R\b")
#: A dictionary of resources that are named in the page's own stream: /Font <<, /ExtGState <<, /XObject << ...
_RESOURCES = re.compile(rb"(/(?:Font|ExtGState|XObject|Pattern|Shading|ColorSpace) <<\n)((?:\s*/\S+ \d+ 0 R\n)+)")


def stable(pdf: bytes) -> bytes:
    """A PDF with one cross-reference table, as vl-convert writes it, in an order that depends on its content alone.

    Objects are numbered as they are met from the root, resources sorted by name; nothing that is drawn changes. Raises
    ValueError where the file is built otherwise.
    """
    objects, trailer = _read(pdf)
    heads, tails = {}, {}
    for number, body in objects.items():
        # References stand before the stream; the stream itself is copied.
        head, mark, tail = body.partition(b"\nstream\n")
        heads[number] = _RESOURCES.sub(_sorted, head)
        tails[number] = mark + tail
    order: dict[int, int] = {}
    waiting = _referred(trailer)
    while waiting:
        number = waiting.pop(0)
        if number not in order and number in heads:
            order[number] = len(order) + 1
            waiting = [*_referred(heads[number]), *waiting]

    def renumbered(text: bytes) -> bytes:
        return _REFERENCE.sub(lambda match: b"%d 0 R" % order.get(int(match[1]), 0), text)

    found = bytearray(pdf[: pdf.index(b"\n", pdf.index(b"\n") + 1) + 1])  # the version and a line of binary
    places = []
    for old, new in order.items():
        places.append(len(found))
        found += b"%d 0 obj\n" % new + renumbered(heads[old]) + tails[old] + b"\nendobj\n"
    start = len(found)
    found += b"xref\n0 %d\n0000000000 65535 f\r\n" % (len(order) + 1) + b"".join(b"%010d 00000 n\r\n" % place for place in places)
    trailer = re.sub(rb"/Size \d+", b"/Size %d" % (len(order) + 1), renumbered(trailer))
    return bytes(found + trailer + b"startxref\n%d\n%%%%EOF\n" % start)


def _read(pdf: bytes) -> tuple[dict[int, bytes], bytes]:
    """The body of every object by its number, and the trailer."""
    start = _START.search(pdf)
    table = _TABLE.match(pdf, int(start[1])) if start else None
    if start is None or table is None:
        raise ValueError("a figure's PDF has no plain table of its objects; see the version of vl-convert")
    objects = {}
    for number in range(1, int(table[1])):
        entry = pdf[table.end() + 20 * number : table.end() + 20 * number + 18].split()
        if entry[2] == b"n":
            place = int(entry[0])
            opening = b"%d 0 obj\n" % number
            if not pdf.startswith(opening, place):
                raise ValueError(f"a figure's PDF has no object {number} where its table says; see the version of vl-convert")
            objects[number] = _body(pdf, place + len(opening))
    return objects, pdf[table.end() + 20 * int(table[1]) : start.start()]


def _body(pdf: bytes, begin: int) -> bytes:
    """One object from its first byte on; the length of a stream is taken from its dictionary, as it may hold any bytes."""
    end = pdf.index(b"endobj", begin)
    stream = pdf.find(b"\nstream\n", begin, end)
    if stream >= 0:
        length = re.search(rb"/Length (\d+)", pdf[begin:stream])
        if length is None:
            raise ValueError("a figure's PDF has a stream without its length; see the version of vl-convert")
        end = pdf.index(b"endobj", stream + 8 + int(length[1]))
    return pdf[begin:end].rstrip(b"\n")


def _sorted(match: re.Match[bytes]) -> bytes:
    return match[1] + b"".join(sorted(match[2].splitlines(keepends=True)))


def _referred(text: bytes) -> list[int]:
    return [int(match[1]) for match in _REFERENCE.finditer(text)]
