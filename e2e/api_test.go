package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

// page is one answer of a listing.
type page struct {
	Logs     []*record.Record `json:"logs"`
	Marker   string           `json:"marker"`
	Complete bool             `json:"complete"`
	Gaps     []*record.Record
}

// ask asks the audit API and returns status and body.
func (g *gateway) ask(path string) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, g.audit+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+g.bearer)
	res, err := g.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// get asks what the audit API must answer.
func (g *gateway) get(path string) []byte {
	g.t.Helper()
	status, body, err := g.ask(path)
	if err != nil {
		g.t.Fatal(err)
	}
	if status != http.StatusOK {
		g.t.Fatalf("asking for %s: %d %s", path, status, body)
	}
	return body
}

// page returns one page of the calls that query asks for.
func (g *gateway) page(query url.Values) page {
	g.t.Helper()
	var p page
	if err := json.Unmarshal(g.get("/v1/-/logs?"+query.Encode()), &p); err != nil {
		g.t.Fatalf("listing %v: %v", query, err)
	}
	return p
}

// list returns all records that query asks for, page by page.
func (g *gateway) list(query url.Values) []*record.Record {
	g.t.Helper()
	p := g.page(query)
	logs := p.Logs
	for p.Marker != "" {
		next := url.Values{"marker": {p.Marker}}
		if limit := query.Get("limit"); limit != "" {
			next.Set("limit", limit)
		}
		p = g.page(next)
		logs = append(logs, p.Logs...)
	}
	return logs
}

// all returns all records.
func (g *gateway) all() []*record.Record {
	g.t.Helper()
	return g.list(url.Values{"limit": {"1000"}})
}

// recordOf waits for the record of the call whose request id is given.
func (g *gateway) recordOf(requestID string) *record.Record {
	g.t.Helper()
	return g.recordWhen(requestID, func(r *record.Record) bool { return r.Outcome != record.OutcomeInProgress })
}

// recordWhen waits for the record of a call, finished or not, that is as asked.
func (g *gateway) recordWhen(requestID string, is func(*record.Record) bool) *record.Record {
	g.t.Helper()
	var found []*record.Record
	wait(g.t, "the call "+requestID+" is a record", func() bool {
		found = g.list(url.Values{"request_id": {requestID}})
		return len(found) > 0 && is(found[0])
	})
	if len(found) > 1 {
		g.t.Fatalf("the call %s is %d records", requestID, len(found))
	}
	return found[0]
}

// byID returns the records by their ids, and fails if one is there twice.
func byID(t *testing.T, logs []*record.Record) map[string]*record.Record {
	t.Helper()
	m := make(map[string]*record.Record, len(logs))
	for _, r := range logs {
		if id := r.EventID.String(); m[id] != nil {
			t.Errorf("record %s is listed twice", id)
		} else {
			m[id] = r
		}
	}
	return m
}

// missing returns how many calls the gaps count whose stretches touch what came
// at from or later.
func (g *gateway) missing(from time.Time) (n uint64) {
	t := g.t
	t.Helper()
	query := url.Values{}
	if !from.IsZero() {
		query.Set("from", rfc3339(from))
	}
	for _, r := range g.page(query).Gaps {
		if r.Gap == nil {
			t.Errorf("record %s is a gap and says not of what", r.EventID)
			continue
		}
		if r.Gap.CountUnknown {
			t.Errorf("the gap %s (%s) does not know its count", r.EventID, r.Gap.Reason)
		}
		t.Logf("gap: %d calls, %s", r.Gap.Count, r.Gap.Reason)
		n += r.Gap.Count
	}
	return n
}
