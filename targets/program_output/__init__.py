"""What programs that measure themselves print, without such a program.

`reader` is what a reader of one says (the files in `readers`), `rows` how its output becomes rows, `figures` turns rows
into figures.
"""
