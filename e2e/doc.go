// Package e2e holds the tests that run the gateway as its users do: the real
// program, as a process of its own, between real clients and real components,
// its records read back through its API.
//
// The tests promise what a user sees, and only that. They know the gateway's
// command line, its Caddyfile, its API and the vocabulary of package record, and
// nothing of what is inside; but for the one that searches the store's files for
// planted secrets.
//
//	go test -race ./e2e                     all of it, in a few minutes
//	go test -race ./e2e -long               50 kills and 50 stops
//	go test -race ./e2e -reload-for 10m     reloads for that long
//	go test ./e2e -run AreCheap -long       10,000 event streams, 1,000 uploads of 1 GiB
//	go test ./e2e -run Transparent -update  writes docs/transparency.md
//	go test ./e2e -run Tour -update         writes the tour of the README
package e2e
