package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// features are the rows of the matrix.
func features() []*feature {
	return slices.Concat(messages(), streams(), []*feature{webSocketFeature()}, rpcFeatures(), responses())
}

const pageHead = `# Transparent

What passes through ` + "`audit_capture`" + ` is what passes without it. This table is not written by hand: each cell is an
exchange that ` + "`go test ./e2e -run Transparent`" + ` makes, and the page is compared with what the test has run
(` + "`-update`" + ` writes it).

## What a cell proves

The same exchange is made twice: through a site of a running gateway that has a capture, and through a site of the
same program and configuration that has none. Client and component (grpc-go, net/http, quic-go, coder/websocket) are
real, the same in both runs, and say what they saw. Nothing of it may differ:

- at the client: each informational response with its fields, the status, every field and its repeats, whether there is a
  ` + "`Content-Length`" + ` or chunks, every byte of the body, the trailers, and the error where the answer breaks off. Masked
  are only ` + "`Date`" + `, the port of the site, and what WebSocket draws at random;
- at the component: how many calls came, method, target and protocol, every field, framing, every byte of the body and the trailers.

That nothing is held back is shown by cause, not by a clock: where a part of a message has to arrive, the other end
does not go on before it has. A gateway that waits for more would wait for ever.

Then the record is looked up through the API. There is just one, and it has the outcome, the status, the protocol, the sizes,
the SHA-256 of the bytes that passed (a keyed digest where something was withheld), the state of each body, and the
trailers, as the two ends saw them. Streams, WebSockets and long polls are listed as ` + "`in_progress`" + ` while they run, and
completed under the same id.

## The matrix

`

// transparencyPage is the matrix as a page.
func transparencyPage(all []*feature) string {
	var page, notes strings.Builder
	page.WriteString(pageHead)
	page.WriteString("| |")
	for _, p := range protocols {
		page.WriteString(" " + p.title + " |")
	}
	page.WriteString("\n|---|" + strings.Repeat("---|", len(protocols)) + "\n")
	note := 0
	for _, f := range all {
		page.WriteString("| " + f.name + " |")
		for _, p := range protocols {
			cell, why := "same", f.notes[p.name]
			if f.absent[p.name] != "" {
				cell, why = "n/a", f.absent[p.name]
			}
			if why != "" {
				note++
				cell += fmt.Sprintf(" (%d)", note)
				fmt.Fprintf(&notes, "%d. %s over %s: %s.\n", note, f.name, p.title, why)
			}
			page.WriteString(" " + cell + " |")
		}
		page.WriteString("\n")
	}
	page.WriteString("\n`same`: without and with a capture there is no difference, and the record is right.\n\n")
	page.WriteString(notes.String())
	page.WriteString("\n## The rows\n\n")
	for _, f := range all {
		fmt.Fprintf(&page, "- **%s**: %s.\n", f.name, f.proof)
	}
	return page.String()
}

// checkPage compares a page with what it has to be, or, with -update, writes it.
func checkPage(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the matrix shows: run the test with -update", path)
	}
}
