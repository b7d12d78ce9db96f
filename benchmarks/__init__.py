"""How fast the harness is, against peers and against bare code.

`python -m benchmarks` measures every bar, prints them, and writes a page of plots. One module a benchmark: whatever
module of this package has a function `measure(options) -> Bar` is one, and runs alone too
(`python -m benchmarks.wall_time`).

Words
    bar      a claim about the harness that figures can pass, miss or leave undecided
    finding  one ratio that the bar asks for, with its 95 % interval; a control is a finding without a bar
    side     one of the things compared, such as the harness or the raw loop
    round    one paired look at all sides, in random order: the unit of statistics
"""
