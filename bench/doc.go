// Package bench measures what a call costs, room by room: the tap, redaction,
// the commit, packing, and reading back. Its bodies never repeat, so that
// nothing compresses better than it would in life. See README.md for how to
// run and compare.
package bench
