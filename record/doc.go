// Package record is the vocabulary of Auditgate: what is kept of one call, the
// words that it is described with, and the questions that can be asked of many.
//
// A [Record] is a call as stored. An [ID] names it and orders it: ids sort by
// the time at which their calls began. A [Query] says which records somebody
// asks for and may see.
//
// The package imports nothing else of Auditgate; everything else imports it.
package record
