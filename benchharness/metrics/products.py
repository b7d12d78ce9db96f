"""What a user of a product feels: a cloud and a device that answer together, and whole conversations.

All of it is derived from raw rows (see `benchharness.records`).
"""

from __future__ import annotations

from benchharness.metrics.definition import Better, Metric, Unit

_OURS = "benchharness"

#: What is shown of scenarios `hybrid`, `conversation` and `concurrent`.
PRODUCTS = (
    Metric(
        name="hybrid_first_token",
        title="first token, whoever writes it",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="a request until the first token that its user sees, from the cloud or the device, over a simulated "
        "network; a percentile over requests",
        source="request TTFT of MLPerf LoadGen and vLLM",
    ),
    Metric(
        name="longest_silence",
        title="longest silence",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="the longest time of a request without a new token, the wait for the first included; a percentile "
        "over requests, of which those without an answer are silent without end",
        source=_OURS,
    ),
    Metric(
        name="answered_locally",
        title="answered locally",
        unit=Unit.SHARE,
        better=Better.NEITHER,
        definition="share of requests whose answer the device wrote, in whole or in part",
        source=_OURS,
    ),
    Metric(
        name="unanswered",
        title="unanswered",
        unit=Unit.SHARE,
        better=Better.LOWER,
        definition="share of requests that got no answer, or one that broke off",
        source=_OURS,
    ),
    Metric(
        name="wasted_tokens",
        title="wasted tokens",
        unit=Unit.TOKENS,
        better=Better.LOWER,
        definition="tokens that came from the cloud and are not in the answer, mean over requests; an event of the "
        "stream counts as one",
        source=_OURS,
    ),
    Metric(
        name="wasted_bytes",
        title="wasted bytes",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="bytes sent and received, TCP payload, for an answer of the cloud of which nothing was kept; mean "
        "over requests",
        source=_OURS,
    ),
    Metric(
        name="moved_bytes",
        title="bytes moved",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="bytes sent and received, TCP payload, mean over requests",
        source=_OURS,
    ),
    Metric(
        name="answer_agreement",
        title="agreement of answers",
        unit=Unit.NUMBER,
        better=Better.HIGHER,
        definition="words of an answer in common with the cloud's undisturbed one: twice those in common, in order, "
        "over the words of both; mean over requests, of all answers or of those that changed hands",
        source="Ratcliff and Obershelp, as Python's difflib computes it",
    ),
    Metric(
        name="answers_right",
        title="right answers",
        unit=Unit.SHARE,
        better=Better.HIGHER,
        definition="share of answered and unanswered requests whose answer has the expected text in it",
        source=_OURS,
    ),
    Metric(
        name="energy_per_request",
        title="energy per request",
        unit=Unit.JOULES,
        better=Better.LOWER,
        definition="energy of the processor packages during a request, mean over requests; the radio's is not in it",
        source=_OURS,
    ),
    Metric(
        name="policies_kept",
        title="ways of answering that keep every budget",
        unit=Unit.NUMBER,
        better=Better.HIGHER,
        definition="of cloud alone, device alone and each policy, those that keep every budget of the scenario over "
        "every network; the interval ends at those that may",
        source=_OURS,
        decided_by="more requests of its scenario would decide it",
    ),
    Metric(
        name="turn_ttft",
        title="TTFT by turn",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="a turn's tokens handed to the runtime until its first token is chosen, in a conversation whose "
        "cache stays between turns; what is read again because it cannot stay is in it",
        source="model TTFT of MLPerf LoadGen, turn by turn",
    ),
    Metric(
        name="conversation_ttft",
        title="TTFT in conversation",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="median over the answered turns of a conversation",
        source=_OURS,
        headline=True,
    ),
    Metric(
        name="turn_decode_rate",
        title="decode rate by turn",
        unit=Unit.TOKENS_PER_SECOND,
        better=Better.HIGHER,
        definition="tokens after the first / time from the first to the last of a turn's answer, at the context that "
        "the conversation has by then",
        source="llama-bench tgN at depth",
    ),
    Metric(
        name="turn_memory",
        title="memory by turn",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="resident memory of the process when a turn is over",
        source="proc(5): VmRSS",
    ),
    Metric(
        name="cache_growth",
        title="memory a token of context",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="resident memory after the last turn less that after the second, over the tokens of context between",
        source=_OURS,
    ),
    Metric(
        name="turns_answered",
        title="turns answered",
        unit=Unit.NUMBER,
        better=Better.HIGHER,
        definition="turns of a conversation that were answered before the context was full",
        source=_OURS,
    ),
    Metric(
        name="full_throughput",
        title="throughput, most at once",
        unit=Unit.TOKENS_PER_SECOND,
        better=Better.HIGHER,
        definition="tokens of all answers / time from the first prompt handed over to the last token, at the most "
        "requests at once that were asked for",
        source="vLLM's and MLPerf's output token throughput, closed loop of one round",
        headline=True,
    ),
    Metric(
        name="throughput",
        title="throughput",
        unit=Unit.TOKENS_PER_SECOND,
        better=Better.HIGHER,
        definition="the same, by the number of requests at once",
        source="vLLM's and MLPerf's output token throughput, closed loop of one round",
    ),
    Metric(
        name="concurrent_ttft",
        title="TTFT beside others",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="several requests handed over until the first token of one of them is known; `place` is its place "
        "among them by when that was",
        source="model TTFT of MLPerf LoadGen, request by request",
    ),
    Metric(
        name="concurrent_decode_rate",
        title="decode rate beside others",
        unit=Unit.TOKENS_PER_SECOND,
        better=Better.HIGHER,
        definition="tokens after the first / time from the first to the last of a request's answer, beside others",
        source="llama-bench tgN, request by request",
    ),
    Metric(
        name="loaded_memory",
        title="memory while loaded",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="resident memory of a process that has loaded the model and answered one turn",
        source="proc(5): VmRSS",
    ),
    Metric(
        name="unloaded_memory",
        title="memory after unloading",
        unit=Unit.BYTES,
        better=Better.LOWER,
        definition="resident memory of the same process once its session is closed: what the runtime keeps",
        source="proc(5): VmRSS",
    ),
    Metric(
        name="return_load",
        title="loading again",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="opening the model once more in the same process, files in the page cache; `beside` is what else "
        "the device did",
        source=_OURS,
    ),
    Metric(
        name="return_ttft",
        title="coming back",
        unit=Unit.NANOSECONDS,
        better=Better.LOWER,
        definition="loading again and reading the whole conversation, until the first token is chosen",
        source=_OURS,
    ),
)
