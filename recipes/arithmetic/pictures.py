"""Curves as SVG, without a library."""

from xml.sax.saxutils import escape

COLOURS = [
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee",
    "#aa3377", "#888888", "#000000", "#ee7733", "#009988",
    "#882255", "#999933", "#332288", "#ddaa99", "#117733",
]  # fmt: skip
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 60, 190, 36, 44


def ticks(low, high, count=5):
    return [low + (high - low) * index / count for index in range(count + 1)]


def curves(title, across, up, lines, label="{:.2f}"):
    """A picture of `lines`, a list of (name, [(x, y), ...]). The upright axis begins and
    ends where the data do, the other one begins at 0."""
    points = [point for _, line in lines for point in line]
    low_x, high_x = 0.0, max(x for x, _ in points)
    low_y, high_y = (f(y for _, y in points) for f in (min, max))
    # No axis without an extent.
    high_x, high_y = max(high_x, low_x + 1e-9), max(high_y, low_y + 1e-9)

    def place(x, y):
        right = LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)
        return f"{right:.1f}", f"{down:.1f}"

    def text(x, y, words, anchor="start"):
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'

    end = WIDTH - RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(LEFT, 20, title),
        text((LEFT + end) / 2, HEIGHT - 8, across, "middle"),
        f'<g transform="translate(14 {HEIGHT / 2}) rotate(-90)">{text(0, 0, up, "middle")}</g>',
    ]
    for y in ticks(low_y, high_y):
        _, down = place(low_x, y)
        parts.append(f'<path d="M{LEFT} {down}H{end}" stroke="#dddddd"/>')
        parts.append(text(LEFT - 6, down, label.format(y), "end"))
    for x in ticks(low_x, high_x):
        right, _ = place(x, low_y)
        parts.append(text(right, HEIGHT - BOTTOM + 16, f"{x:g}", "middle"))
    for index, (name, line) in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(",".join(place(x, y)) for x, y in line)
        dash = ' stroke-dasharray="6 3"' if index % 2 else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        down = TOP + 8 + 18 * index
        parts.append(
            f'<path d="M{end + 12} {down}h24" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        parts.append(text(end + 42, down + 4, name))
    return "\n".join([*parts, "</svg>", ""])
