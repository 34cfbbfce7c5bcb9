"""A scene as the text of an SVG: the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.markup import (
    escaped,
    opened,
    own_prefix,
    px,
    rectangle,
    written_line,
)
from tncompile.inspection.drawing.scene import (
    Box,
    CellBox,
    Disk,
    Figure,
    Label,
    Mark,
    Scene,
    StripBox,
    Wire,
)
from tncompile.inspection.drawing.text import Span, width_of
from tncompile.inspection.drawing.theme import Theme, marked_rules, plain_rules, style

HALO = 5.0
"""How much wider than a line what keeps it apart from those that it crosses is."""

CASING = 4.0
"""How much wider than a line what marks it is."""

LEGEND_ROW = 18.0


def svg_of(scene: Scene, theme: Theme = "auto", *, number: int = 0) -> str:
    """The text of an SVG, `number` tells apart copies on one page."""
    own = own_prefix(scene.title, scene.description, theme, number)
    return "".join(_Writing(scene, own, theme).parts())


class _Writing:
    def __init__(self, scene: Scene, own: str, theme: Theme) -> None:
        self.scene, self.own, self.theme = scene, own, theme

    def parts(self) -> Iterator[str]:
        scene, own = self.scene, self.own
        extent = scene.extent()
        across, down = signs.MARGIN
        left, top = floor(extent.left - across), floor(extent.top - down)
        width = ceil(extent.right + across) - left
        height = ceil(extent.bottom + down) - top
        legend = list(self._legend(left + across, extent.bottom + down + 12, width - 2 * across))
        if legend:
            width = max(width, ceil(max(right for _, right, _ in legend) + across - left))
            height = ceil(legend[-1][2] + down) - top
        view = (left, top, width, height)
        rules = marked_rules if scene.marks() else plain_rules
        sheet = style("#" + own, self.theme, rules)
        yield opened(own, view, scene.title, scene.description, sheet)
        yield from self.body()
        for parts, _, _ in legend:
            yield parts
        yield "</svg>"

    def body(self) -> Iterator[str]:
        """All but the frame of the picture: lines first, texts last."""
        yield from self._wires()
        for disk in self.scene.disks:
            yield self._disk(disk)
        for strip in self.scene.strips:
            yield from self._strip(strip)
        for figure in self.scene.figures:
            yield from self._figure(figure)
        for label in self.scene.labels:
            yield self._label(label)

    # ── lines ─────────────────────────────────────────────────────────────────────────────────────

    def _wires(self) -> Iterator[str]:
        """All lines of an index together, halos first, so that none cuts its own dot."""
        groups: dict[str, list[Wire]] = {}
        for place, wire in enumerate(self.scene.wires):
            groups.setdefault(wire.leg or f"\0{place}", []).append(wire)
        for wires in groups.values():
            yield f"<g{_data('leg', wires[0].leg)}>"
            paths = [(_path(wire), wire) for wire in wires]
            for path, wire in paths:
                if wire.kind not in ("batch", "plain"):
                    yield f'<path class="h" d="{path}" stroke-width="{wire.width + HALO:.1f}"/>'
            for path, wire in paths:
                if wire.mark:
                    wide = wire.width + CASING
                    yield f'<path class="w-{wire.mark}" d="{path}" stroke-width="{wide:.1f}"/>'
            for path, wire in paths:
                yield self._line(path, wire)
            if wires[0].title:
                yield f"<title>{escaped(wires[0].title)}</title>"
            yield "</g>"

    @staticmethod
    def _line(path: str, wire: Wire) -> str:
        if wire.kind == "batch":
            return f'<path class="b" d="{path}"/>'
        dashes = ' stroke-dasharray="0.1 4"' if wire.kind == "one" else ""
        line = f'<path class="e" d="{path}" stroke-width="{wire.width:.2f}"{dashes}/>'
        return line + _arrow(wire) if wire.kind == "cut" else line

    def _disk(self, disk: Disk) -> str:
        if disk.kind in ("input", "output"):
            name, side = f"{disk.kind[0]}q", 2 * disk.radius
            return rectangle(Box(disk.x, disk.y, side, side), name, 0)
        name = "d" if disk.kind == "dot" else "bd"
        title = f"<title>{escaped(disk.title)}</title>" if disk.title else ""
        circle = f'<circle class="{name}" cx="{px(disk.x)}" cy="{px(disk.y)}" r="{px(disk.radius)}"'
        return f"<g{_data('leg', disk.leg)}>{circle}/>{title}</g>"

    # ── strips ────────────────────────────────────────────────────────────────────────────────────

    def _strip(self, strip: StripBox) -> Iterator[str]:
        name, box = strip.role[0], strip.box
        yield f"<g{_data('strip', strip.key)}><title>{escaped(strip.title)}</title>"
        yield rectangle(box, _marked(name, strip.mark), signs.STRIP_RADIUS)
        for place, cell in enumerate(strip.cells):
            if cell.padded:
                right, left = cell.box.right, cell.box.right - cell.padded
                part = Box((left + right) / 2, box.y, cell.padded, box.height - 3)
                yield from self._hatching(part)
            if place:
                x = px(cell.box.left)
                yield f'<path class="{name}v" d="M{x},{px(box.top)}V{px(box.bottom)}"/>'
            yield from self._cell(cell, name, box)
        yield "</g>"

    def _cell(self, cell: CellBox, name: str, box: Box) -> Iterator[str]:
        edge = box.top if name == "i" else box.bottom
        if cell.bar:
            left, right = min(cell.legs) - 9, max(cell.legs) + 9
            dots = ' stroke-dasharray="1 7"' if cell.dotted else ""
            yield f'<path class="{name}b" d="M{px(left)},{px(edge)}H{px(right)}"{dots}/>'
        if cell.square:
            y = px(edge - 6)
            yield f'<rect class="{name}q" x="{px(cell.box.x - 6)}" y="{y}" width="12" height="12"/>'
        if cell.text:
            x = cell.box.x - cell.padded / 2
            yield written_line(x, box.y + 0.36 * cell.text[0].size, cell.text, "middle", "")

    # ── nodes ─────────────────────────────────────────────────────────────────────────────────────

    def _figure(self, figure: Figure) -> Iterator[str]:
        box = figure.box
        if figure.link:
            yield f'<a href="#{escaped(figure.link)}">'
        yield f"<g{_data('tensor', figure.key)}><title>{escaped(figure.title)}</title>"
        name = "n" if figure.shade is None else f"s{figure.shade % 6}"
        name = "f" if figure.frozen or figure.shape == "layer" else name
        name = "m" if figure.shape in ("model", "function", "frame") else name
        name = _marked(name, figure.mark)
        if figure.shape == "plus":
            x, y = px(box.x), px(box.y)
            yield f'<circle class="bg e" cx="{x}" cy="{y}" r="7.5" stroke-width="1.5"/>'
            cross = (
                f"M{px(box.x - 4.5)},{y}H{px(box.x + 4.5)}M{x},{px(box.y - 4.5)}V{px(box.y + 4.5)}"
            )
            yield f'<path class="e" d="{cross}" stroke-width="1.5"/>'
        elif figure.shape == "rung":
            x, y, radius = px(box.x), px(box.y), px(box.width / 2)
            yield f'<circle class="d" cx="{x}" cy="{y}" r="{radius}"/>'
        elif figure.shape in ("bar", "input"):
            yield rectangle(box, "i" if figure.shape == "input" else "d", signs.STRIP_RADIUS)
        elif figure.shape == "window":
            yield f'<path class="{name}" d="{_hexagon(box)}"/>'
        elif figure.shape == "subtree":
            top, bottom = px(box.top), px(box.bottom)
            path = f"M{px(box.x)},{top}L{px(box.right)},{bottom}H{px(box.left)}Z"
            yield f'<path class="{name}" stroke-dasharray="3 3" d="{path}"/>'
        elif figure.shape == "more":
            yield rectangle(box, _marked("bg", figure.mark), signs.NODE_RADIUS)
        else:
            round_off = box.height / 2 if figure.shape == "function" else signs.NODE_RADIUS
            yield rectangle(box, name, round_off)
        if figure.inner is not None:
            yield from self._inner(figure, figure.inner)
        if figure.frozen and figure.shape == "tensor":
            yield from self._hatching(box)
        if figure.label and figure.inner is None:
            size = figure.label[0].size
            down = 0.36 * size + (4.5 if figure.shape == "subtree" else 0)
            if figure.note:
                yield written_line(box.x, box.y + 15, figure.note, "middle", "")
                down -= 8
            yield written_line(
                box.x, box.y + down, figure.label, "middle", "l" if figure.frozen else ""
            )
        yield "</g>"
        if figure.link:
            yield "</a>"

    def _inner(self, figure: Figure, inner: Scene) -> Iterator[str]:
        """What a frame holds, below its title."""
        box, extent = figure.box, inner.extent()
        title = (*figure.label, *((Span("  ", 13), *figure.note) if figure.note else ()))
        yield written_line(box.left + 12, box.top + 17, title, "start", "")
        dx = box.x - extent.x
        dy = box.bottom - signs.FRAME - extent.bottom
        yield f'<g transform="translate({px(dx)} {px(dy)})">'
        yield from _Writing(inner, self.own, self.theme).body()
        yield "</g>"

    def _hatching(self, box: Box) -> Iterator[str]:
        """Lines at 45°, 7 px apart, cut off at the edges of a box."""
        moves = []
        inset = 1.5
        left, right = box.left + inset, box.right - inset
        top, bottom = box.top + inset, box.bottom - inset
        start = left - (bottom - top) + 3
        while start < right:
            a, b = max(start, left), min(start + bottom - top, right)
            if a < b:
                moves.append(
                    f"M{px(a)},{px(bottom - (a - start))}L{px(b)},{px(bottom - (b - start))}"
                )
            start += 7 * 1.414
        yield f'<path class="x" d="{"".join(moves)}"/>'

    # ── text ──────────────────────────────────────────────────────────────────────────────────────

    def _label(self, label: Label) -> str:
        plate = ""
        if label.plate:
            box = label.box
            padded = Box(box.x, box.y, box.width + 4, box.height + 3)
            plate = rectangle(padded, "p", 2)
        if label.turned:
            inner = written_line(0, 0, label.line, label.anchor, "")
            where = f"translate({px(label.x)} {px(label.y)}) rotate(-90)"
            return f'{plate}<g transform="{where}">{inner}</g>'
        return plate + written_line(label.x, label.y, label.line, label.anchor, "l")

    def _legend(self, left: float, y: float, room: float) -> Iterator[tuple[str, float, float]]:
        """Signs and what they say, in lines; with each how far right it goes, and its height."""
        x = left
        for sign, text in self.scene.legend:
            line = (Span(text, 11.5, "dim"),)
            aside = 26 if sign else 0
            wide = aside + width_of(line)
            if x > left and x + wide > left + room:
                x, y = left, y + LEGEND_ROW
            inner = LEGEND_SIGNS.get(sign, "") + written_line(aside, 4, line, "start", "")
            yield (
                f'<g transform="translate({px(x)} {px(y)})">{inner}</g>',
                x + wide,
                y,
            )
            x += wide + 20


LEGEND_SIGNS = {
    "shared": '<rect class="s0" x="0" y="-6" width="18" height="12" rx="4"/>',
    "frozen": '<rect class="f" x="0" y="-6" width="18" height="12" rx="4"/>'
    '<path class="x" d="M3,4.5L12,-4.5M9,4.5L16,-2"/>',
    "one": '<path class="e" d="M0,0H18" stroke-width="2" stroke-dasharray="0.1 4"/>',
    "padded": '<rect class="i" x="0" y="-6" width="18" height="12" rx="3"/>'
    '<path class="x" d="M10,4.5L16,-2M14,4.5L17,1"/>',
    "onehot": '<path class="ib" d="M1,0H18" stroke-dasharray="1 7"/>',
    "cut": '<path class="e" d="M0,4C4,4 6,0 12,0" stroke-width="2"/>'
    '<path class="d" d="M10,-4L18,0L10,4Z"/>',
    "subtree": '<path class="n" stroke-dasharray="3 3" d="M9,-7L18,6H0Z"/>',
    "window": '<path class="n" d="M5,-7H13L18,0L13,7H5L0,0Z"/>',
    "square": '<rect class="iq" x="3" y="-6" width="12" height="12"/>',
    **{
        mark: f'<rect class="n c-{mark}" x="0" y="-6" width="18" height="12" rx="4"/>'
        for mark in ("changed", "first", "second")
    },
}
"""The signs of the legend, 18 px wide, about y = 0."""


def _marked(name: str, mark: Mark) -> str:
    """The classes of a shape, with that of its outline."""
    return f"{name} c-{mark}" if mark else name


def _path(wire: Wire) -> str:
    parts = [f"M{px(wire.start[0])},{px(wire.start[1])}"]
    for segment in wire.segments:
        letter = "L" if len(segment) == 1 else "C"
        parts.append(letter + " ".join(f"{px(x)},{px(y)}" for x, y in segment))
    return "".join(parts)


def _arrow(wire: Wire) -> str:
    """The head at the end of a line that is cut."""
    x, y = wire.segments[-1][-1]
    way = 1 if x > wire.start[0] else -1
    tip = x + way * 7
    return f'<path class="d" d="M{px(tip)},{px(y)}L{px(x - way)},{px(y - 4)}V{px(y + 4)}Z"/>'


def _hexagon(box: Box) -> str:
    side = 10.0
    left, right = px(box.left + side), px(box.right - side)
    return (
        f"M{left},{px(box.top)}H{right}L{px(box.right)},{px(box.y)}L{right},{px(box.bottom)}"
        f"H{left}L{px(box.left)},{px(box.y)}Z"
    )


def _data(kind: str, name: str) -> str:
    """What scripts of a page find a group by."""
    return f' class="{kind}" data-{kind}="{escaped(name)}"' if name else ""
