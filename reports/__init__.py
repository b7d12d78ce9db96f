"""Reports on results: one HTML page per hardware target, readable offline.

    visible, units      text and numbers as a reader may see them
    page, tables,       what a page, its tables and figures show, as frozen plain data
    figures
    comparison, jobs,   results -> parts of a page
    columns, contrasts,
    placement, budgets,
    memory, sizes,
    conditions, series
    sessions, pauses,   results -> sections on speed over time, after a pause and under constraints;
    ladders,            session_page and session_figures are what they show
    session_series,
    ladder_series
    view                results -> a whole page
    charts, canvas,     the figures of a page -> inline SVG
    memory_charts,
    ratio_charts,
    session_charts,
    ladder_charts
    html                page and figures -> one self-contained HTML string or file

A report reads results and never changes or measures anything.
"""
