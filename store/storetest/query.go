package storetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// conditions are the ways to narrow a query to some of the records, one for
// each of its fields.
var conditions = []struct {
	name   string
	narrow func(q *record.Query, rng *rand.Rand, r *record.Record)
}{
	{"from", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.From = r.Timestamp }},
	{"to", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.To = r.Timestamp }},
	{"before", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Before = r.EventID }},
	{"up to", func(q *record.Query, rng *rand.Rand, _ *record.Record) { q.UpTo = 1 + rng.Uint64N(600) }},
	{"source", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Sources = []string{"cinder", r.Source} }},
	{"user id", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Users = []string{r.UserID} }},
	{"user name", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Users = []string{"nobody", r.UserName} }},
	{"user e-mail", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Users = []string{r.UserEmail, "nobody"} }},
	{"user without a name", func(q *record.Query, _ *rand.Rand, _ *record.Record) { q.Users = []string{""} }},
	{"method", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Methods = []string{r.Method, "PATCH"} }},
	{"status", func(q *record.Query, _ *rand.Rand, r *record.Record) {
		q.Statuses = []record.StatusRange{{Min: r.Status, Max: r.Status}}
	}},
	{"status class", func(q *record.Query, _ *rand.Rand, _ *record.Record) {
		q.Statuses = []record.StatusRange{{Min: 400, Max: 499}, {Min: 201, Max: 201}}
	}},
	{"success", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Success = r.Success }},
	{"uri prefix", func(q *record.Query, _ *rand.Rand, r *record.Record) {
		q.URI = record.ParsePattern(r.URI[:min(len(r.URI), 14)])
	}},
	{"uri pattern", func(q *record.Query, _ *rand.Rand, r *record.Record) {
		q.URI = record.ParsePattern("/*/images/*" + r.URI[max(len(r.URI)-1, 0):])
	}},
	{"request id", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.RequestID = r.RequestID }},
	{"request id of nobody", func(q *record.Query, _ *rand.Rand, _ *record.Record) { q.RequestID = "nobody" }},
	{"action", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Actions = []string{"nothing", r.Action} }},
	{"action by alias", func(q *record.Query, _ *rand.Rand, _ *record.Record) { q.Actions = []string{"create-vm"} }},
	{"action prefix", func(q *record.Query, _ *rand.Rand, _ *record.Record) { q.Actions = []string{"server."} }},
	{"no action prefix", func(q *record.Query, _ *rand.Rand, _ *record.Record) { q.Actions = []string{"server"} }},
	{"object id", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Object = objectOf(r).ID }},
	{"object name", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Object = objectOf(r).Name }},
	{"address", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.UserIP = prefixOf(r, 32) }},
	{"network", func(q *record.Query, _ *rand.Rand, r *record.Record) {
		q.UserIP = prefixOf(r, 9)
	}},
	{"job", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.JobID = r.JobID }},
	{"trace", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.TraceID = r.TraceID }},
	{"token", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.TokenID = r.TokenID }},
	{"word of a body", func(q *record.Query, rng *rand.Rand, r *record.Record) {
		words := record.Words(string(r.ResponseBody.Content) + " nothing")
		q.Words = []string{words[rng.IntN(len(words))]}
	}},
	{"words of all parts", func(q *record.Query, _ *rand.Rand, r *record.Record) {
		q.Words = record.Words(r.URI + " state " + r.RequestHeaders.Get("Authorization"))
	}},
	{"part of a word", func(q *record.Query, _ *rand.Rand, _ *record.Record) { q.Words = []string{"stat"} }},
	{"project", func(q *record.Query, _ *rand.Rand, r *record.Record) {
		q.Scope = record.Scope{Projects: []string{r.Project, "beta"}, AllSources: true}
	}},
	{"except", func(q *record.Query, _ *rand.Rand, r *record.Record) { q.Scope.Except = []string{r.Source} }},
}

func filtersFindWhatTheModelFinds(t *testing.T, open Open) {
	maker, rng, now := NewRecords(30), rand.New(rand.NewPCG(30, 0)), time.Now()
	var records []*record.Record
	for i := range 600 {
		r := maker.At(record.IDAt(now.Add(time.Duration(rng.Int64N(int64(time.Hour))))))
		r.UserID = fmt.Sprint("user-", i%40) // several calls each
		if i%50 == 0 {
			r = Gap(r.EventID, r.EndTime, "nova", 1)
		}
		records = append(records, r)
	}
	stages(t, open, records, func(t *testing.T, s store.Store) {
		model := List(t, s, record.Query{Scope: Everything, Bodies: true})
		if len(model) != len(records) {
			t.Fatalf("%d records are listed, want %d", len(model), len(records))
		}
		check := func(name string, q record.Query) {
			t.Helper()
			var want []*record.Record
			for _, r := range model {
				if q.Match(r) && q.MatchWords(r) {
					want = append(want, r)
				}
			}
			got := List(t, s, q)
			if diff := cmp.Diff(idsOf(want), idsOf(got)); diff != "" {
				t.Fatalf("%s: %d records are found, want %d: query %+v\n(-want +got):\n%s", name, len(got), len(want), q, diff)
			}
			for i := range got {
				if q.Bodies && string(got[i].ResponseBody.Content) != string(want[i].ResponseBody.Content) {
					t.Fatalf("%s: record %s has another body", name, got[i].EventID)
				}
			}
		}
		for _, c := range conditions {
			q := record.Query{Scope: Everything}
			c.narrow(&q, rng, model[rng.IntN(len(model))])
			check(c.name, q)
		}
		for range 8 {
			q := record.Query{Scope: Everything, Bodies: rng.IntN(4) == 0}
			r, name := model[rng.IntN(len(model))], "" // of one record, so that there is something to find
			for range 2 + rng.IntN(3) {
				c := conditions[rng.IntN(len(conditions))]
				c.narrow(&q, rng, r)
				name += c.name + ", "
			}
			check(name, q)
		}
	})
}

func scopeHides(t *testing.T, open Open) {
	maker := NewRecords(31)
	var records []*record.Record
	for _, of := range []struct{ project, source string }{
		{"", "nova"}, {"alpha", "nova"}, {"beta", "nova"}, {"alpha", "iam"}, {"alpha", record.Self}, {"", record.Self},
	} {
		r := maker.Next()
		r.Project, r.Source = of.project, of.source
		records = append(records, r)
	}
	stages(t, open, records, func(t *testing.T, s store.Store) {
		for _, test := range []struct {
			name  string
			scope record.Scope
			want  []int // which of the records
		}{
			{"the zero scope sees nothing", record.Scope{}, nil},
			{"everything", Everything, []int{5, 4, 3, 2, 1, 0}},
			{"one project", record.Scope{Projects: []string{"alpha"}, AllSources: true}, []int{4, 3, 1}},
			{"a project named nothing is no project", record.Scope{Projects: []string{""}, AllSources: true}, nil},
			{"one source", record.Scope{AllProjects: true, Sources: []string{"iam"}}, []int{3}},
			{"all but", record.Scope{AllProjects: true, AllSources: true, Except: []string{"iam", record.Self}}, []int{2, 1, 0}},
			{"named although excepted", record.Scope{AllProjects: true, AllSources: true, Sources: []string{"iam"}, Except: []string{"iam", record.Self}}, []int{3, 2, 1, 0}},
			{"no project", record.Scope{AllSources: true}, nil},
		} {
			var want []record.ID
			for _, i := range test.want {
				want = append(want, records[i].EventID)
			}
			if diff := cmp.Diff(want, idsOf(List(t, s, record.Query{Scope: test.scope})), equalRecords); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	})
}

func objectOf(r *record.Record) record.Object {
	if r.Object == nil {
		return record.Object{ID: "nothing", Name: "nobody"}
	}
	return *r.Object
}

// prefixOf is the network of so many bits that the client of r is in.
func prefixOf(r *record.Record, bits int) netip.Prefix {
	addr, err := netip.ParseAddr(r.UserIP)
	if err != nil {
		addr = netip.IPv4Unspecified()
	}
	return netip.PrefixFrom(addr, bits).Masked()
}
