package main

const intro = `# How right inferred joins are

Written by ` + "`make accuracy`" + `; the same figures are held by tests (` + "`go test ./cmd/internal/accuracy ./cmd/internal/score`" + `). The recordings of the first two tables are no part of the project (set SENNIT_SHARED_DATA to their folder); the third needs nothing.

**What a number means.** *Accuracy*, for the first table as its authors define it: the share of requests in which every call was given to the right one and no other; one wrong call makes the request wrong. *Recall at the limit*: the share of calls that a timeline takes (confidence 0.95 or more) and that are right; the rest is listed as ambiguous, not joined. *Mis-linked*: the share of calls that a timeline takes and that are another request's: what a user must be able to rule out. *ECE*: the mean gap between confidence and hit rate; 0.02 means that of joins given 0.9, between 88 and 92 of 100 are right.

## Calls by their times alone

Published recordings of three applications under load (TraceWeaver, SIGCOMM'24), one set of parameters, no call graph, ` + "`sennit link`" + ` on each. *Best known* is the better of TraceWeaver with the true call graph given, and of plain assignments.

| set | exchanges | accuracy | best known | ECE | recall at the limit | mis-linked at it | exchanges a CPU second |
|---|---|---|---|---|---|---|---|
`

// bestKnown is what others reach on a set (see intro).
var bestKnown = map[string]string{
	"hotel_load50": "99.2 %", "media_load50": "91.9 %", "media_load100": "88.4 %", "node_load50": "99.5 %",
}

const agentsIntro = `
The speed is that of linking alone, without reading and writing, the best of five runs in one process; 300 k were aimed at, and media_load100 is short of it. On node two exchanges often have the very same times; which of them is whose is then decided by their ids, and another numbering of the same recording gives between 99.8 and 100 %.

On media the speed is bounded by few requests: those that have dozens of calls in question, nearly all of one service, hold three quarters of all ways that are weighed (` + "`go test -bench Link ./correlate/link`" + ` shows that the cost of n exchanges is n).

## Model calls of real agents

ADK agents for Go, all model calls of a process on one HTTP/2 connection, 16 requests in flight (gq8: 8), the calls' times as the model's server saw them, which is the hard case: they say nothing of how long a call waited in the client. *Right*: the likeliest trace is the right one. *Candidates*: spans that were open around a call, on average.

| recording | calls | evidence | right | right at the limit | mis-stitched at it | candidates |
|---|---|---|---|---|---|---|
`

const simulatedIntro = `
Aimed at by times alone were 84 % on gemini, which is missed, 86 on gsse and 99 on gq8; with sizes 93 % on gemini and gsse.

What bounds times alone: with so many spans open around each call, a call that waited in the client or an answer that did (up to 100 ms, five times as long as the call itself) fits several spans equally well. Order helps, sizes decide: how bytes and tokens go together is learnt from the calls themselves.

## Whole timelines without any trace context

Simulated clusters of 1,000 requests: no service passes a trace on, one event in three is background, in one request of ten something happens that no span claims (` + "`sennit simulate --requests 1000 --trace-context none --noise 0.5 --rogue 0.1 --seed 1 --concurrency N`" + `). *Mis-stitched*: facts shown in another request's timeline. The rungs: precision of its joins / recall, in per cent; recall counts every fact that the rung could join and that is in its place, on whichever rung.

| in flight | precision | recall | mis-stitched | ambiguous | ECE | tool_command | usage | goroutine_parent | thread | assignment | tool_window | dns_name | edge_window |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`

const outro = `
Exact joins are right in every one of these cases (` + "`TestDisturbed`, `TestBrokenEngines`" + ` in cmd/internal/score).
`
