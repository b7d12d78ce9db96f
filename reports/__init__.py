"""Reports on results: one HTML page per hardware target, readable offline.

    visible, units      text and numbers as a reader may see them
    page                what a page shows, as frozen plain data
    comparison, jobs,   results -> parts of a page
    series
    view                results -> a whole page
    charts              the figures of a page -> inline SVG
    html                page and figures -> one self-contained HTML string or file

A report reads results and never changes or measures anything.
"""
