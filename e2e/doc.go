// Package e2e holds the tests that run the gateway as its users do: the real
// program, as a process of its own, between real clients and real components,
// its records read back through its API.
//
// The tests promise what a user sees, and only that. They know the gateway's
// command line, its Caddyfile, its API and the vocabulary of package record, and
// nothing of what is inside.
//
//	go test -race ./e2e                     all of it, in a few minutes
//	go test -race ./e2e -long               50 kills and 50 stops
//	go test -race ./e2e -reload-for 10m     reloads for that long
package e2e
