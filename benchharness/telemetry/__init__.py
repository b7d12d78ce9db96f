"""What comes home from the field: counts of devices in use, merged, and released with noise that is accounted for.

    tally     what one device counted in one month (`benchharness.device.tally`): declared bins, counts, nothing else
    vote      a device's share of a histogram: one of its events, drawn. However much a device counts, it has one
    counted   votes by hardware target, variant and bin; with noise or without
    release   what leaves the aggregator: counts with noise (OpenDP), and the epsilon that they cost
    ledger    what has been spent on which question, and what was answered; it is on the disk before anybody is told
    figure    a quantile or a rate with its interval, beside what a lab's run says of the same

    `received` reads tallies and believes none, `votes` merges them, `shares` says how sure, `figures` makes figures of
    counts, `lab` tells a run's beside them and makes a tally of a run, `noise` is OpenDP's, `ledger` and `release` say
    what leaves, `told` puts it in words, `privacy` shows every byte.

The unit of privacy is the device. The application sends the files: nothing here does.
"""
