"""Plots of a scenario as SVG: held messages; deliveries per second and the server's capacity; window and what is in service."""

WIDTH, PANEL, LEFT, GAP, RIGHT = 860, 170, 60, 44, 150
COLOURS = {'restante': '#0b62a4', 'postfix': '#c0392b', 'postfix, flushed': '#d68910', 'exim': '#7d3c98'}
POINTS_MAX = 430


def thin(points):
    """The mean of each step, so that no plot has more points than pixels."""
    size = max(1, -(-len(points) // POINTS_MAX))
    parts = [points[i:i + size] for i in range(0, len(points), size)]
    return [tuple(sum(column) / len(part) for column in zip(*part)) for part in parts]


def rate(play, end, step):
    """Deliveries per second."""
    counts = [0] * (int(end / step) + 1)
    for when, _ in play.delivered:
        if 0 <= when < end:
            counts[int(when / step)] += 1
    return [((i + 0.5) * step, count / step) for i, count in enumerate(counts)]


def nice(most):
    """A step for the axis: five lines or fewer."""
    step = 1
    while step * 5 < most:
        step *= 2 if str(step)[0] in '15' else 2.5
        step = int(step)
    return step


def curve(points, x, y, colour, dashed=False):
    path = ' '.join('%.1f,%.1f' % (x(when), y(value)) for when, value in points)
    return '<polyline fill="none" stroke="%s" stroke-width="1.3"%s points="%s"/>' % (
        colour, ' stroke-dasharray="4 3"' if dashed else '', path)


def panel(number, title, curves, end):
    """curves: (name, colour, dashed, points)"""
    top = number * (PANEL + GAP) + 24
    most = max([value for *_, points in curves for _, value in points] + [1])
    step = nice(most)
    inner = WIDTH - LEFT - RIGHT

    def x(when):
        return LEFT + inner * max(0, min(when, end)) / end

    def y(value):
        return top + PANEL * (1 - value / (most * 1.05))

    out = ['<text x="%d" y="%d" font-weight="bold">%s</text>' % (LEFT, top - 8, title),
           '<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#999"/>' % (LEFT, top, inner, PANEL)]
    for value in range(0, int(most) + 1, step):
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>' % (LEFT, LEFT + inner, y(value), y(value)))
        out.append('<text x="%d" y="%.1f" text-anchor="end">%d</text>' % (LEFT - 6, y(value) + 4, value))
    for when in range(0, int(end) + 1, nice(end)):
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%d s</text>' % (x(when), top + PANEL + 15, when))
    for i, (name, colour, dashed, points) in enumerate(curves):
        out.append(curve(thin(points), x, y, colour, dashed))
        out.append('<text x="%d" y="%d" fill="%s">%s</text>' % (WIDTH - RIGHT + 8, top + 14 + 16 * i, colour, name))
    return out


def write(path, plays):
    """plays: one scenario with each of the programs."""
    end = max([play.drain_s or play.samples[-1][0] for play in plays] + [1])
    step = max(1, end / 200)
    first = plays[0]
    held = [(play.program, COLOURS[play.program], False, [(0, play.scenario.backlog)] + [(when, s['held']) for when, s in play.samples])
            for play in plays]
    rates = [(play.program, COLOURS[play.program], False, rate(play, end, step)) for play in plays]
    rates.append(('capacity (%s)' % first.program, '#27ae60', True, [(s[0], s[3]) for s in first.server]))
    flight = [('in service, ' + play.program, COLOURS[play.program], True, [(s[0], s[1]) for s in play.server]) for play in plays]
    flight += [('window, ' + play.program, COLOURS[play.program], False, [(when, s['window']) for when, s in play.samples])
               for play in plays if 'window' in play.samples[-1][1]]
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">' % (
        WIDTH, 3 * (PANEL + GAP) + 10), '<rect width="100%" height="100%" fill="white"/>']
    out += panel(0, '%s %s: messages held' % (first.scenario.name, first.scenario.model), held, end)
    out += panel(1, 'messages per second', rates, end)
    out += panel(2, 'in flight', flight, end)
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join(out) + '\n</svg>\n')
