package e2e_test

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/auditgate/auditgate/record"
)

func TestPagingIsASnapshotUnderWriters(t *testing.T) {
	c := startComponent(t)
	g := startGateway(t, c.address())
	writers := startLoad(g, 8, false)
	wait(t, "there is something to list", func() bool { return len(g.page(nil).Logs) == 100 })

	snapshots := make(map[int][]*record.Record)
	for _, limit := range []int{1, 7, 100} {
		known := byID(t, g.page(nil).Logs) // acknowledged before the first page
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		p := g.page(query)
		logs := p.Logs
		for ; p.Marker != ""; logs = append(logs, p.Logs...) {
			if len(p.Logs) != limit {
				t.Fatalf("limit %d: a page that is not the last has %d records", limit, len(p.Logs))
			}
			p = g.page(url.Values{"marker": {p.Marker}})
		}
		snapshots[limit] = logs
		listed := byID(t, logs)
		for id := range known {
			if listed[id] == nil {
				t.Errorf("limit %d: record %s was listed before and is missing", limit, id)
			}
		}
		for i := 1; i < len(logs); i++ {
			if logs[i-1].EventID.Compare(logs[i].EventID) <= 0 {
				t.Fatalf("limit %d: record %d is not older than the one before it", limit, i)
			}
		}
		t.Logf("limit %d: %d records", limit, len(logs))
	}
	for _, call := range writers.end() {
		if call.err != nil {
			t.Errorf("call %s: %v", call.requestID, call.err)
		}
	}

	// A snapshot is all that was committed up to some point, and nothing else.
	all := g.all()
	for limit, logs := range snapshots {
		listed := byID(t, logs)
		var newest uint64
		for _, r := range logs {
			newest = max(newest, r.Sequence)
		}
		for _, r := range all {
			if r.Sequence <= newest && listed[r.EventID.String()] == nil {
				t.Errorf("limit %d: record %s, committed as %d of %d, is missing", limit, r.EventID, r.Sequence, newest)
			}
		}
	}
}
