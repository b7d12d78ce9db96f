"""A page of ours in a browser, for any runtime that runs in one: opened, served, asked, and believed nothing.

`page` opens one with the runtime's own script in it, `server` serves it, `browser` drives it, `told` reads what it says
and what tensors it gives, `npm` fetches what it loads. `bench.js` is its half of all that: the runtime's script has the
name `runtime.js` there, imports from `bench.js`, and hands it what it can be asked.
"""
