// Package capture is the way in: it observes a call while it passes and makes a
// record of it.
//
// An [Exchange] is a call while it is live. [Pipeline.Begin] opens one around a
// handler: it copies what later handlers may change, and puts a tap on each
// direction. A tap passes everything on at once and unchanged; beside that it
// counts, digests, and keeps a beginning of bounded length: how much, [Rules]
// and levels say. Where the level depends on the status, the taps keep what the
// richest may need, until the status is known. When the handler has returned,
// [Exchange.End] hands the exchange to the workers of its pipeline, which undo
// content codings, find out who called, take the secrets out, and pass the
// finished record to the [Ledger].
//
// A call that is still running after [AnnounceAfter] is announced to the ledger
// with what is known by then, so that streams can be seen while they last. Its
// record comes when it has ended, and never before the announcement.
//
// The package knows nothing of Caddy and nothing of stores. All that it holds
// in memory, for taps and for exchanges that wait, is accounted for in one
// [Budget].
package capture
