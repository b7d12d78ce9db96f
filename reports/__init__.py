"""Reports on results: one HTML page per hardware target, readable offline.

    model       results -> the plain frozen data that sections share, and how it is printed (parts.html.j2)
    figures     what figures share: canvas, the frozen data that a figure is and that draws itself, ratios, inline SVG
    sections    a package for each section of a page: its data, its figures, its template, and its SECTION
    pages       which sections stand on a page, and the page as one self-contained HTML string or file

Each knows those above it. A report reads results and never changes or measures anything.
"""
