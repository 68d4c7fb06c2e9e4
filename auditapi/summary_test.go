package auditapi_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// totals is an answer of a summary.
type totals struct {
	Count       uint64
	Intervals   []counts
	Older       uint64
	Facets      map[store.Facet][]store.ValueCount
	Others      map[store.Facet]uint64
	CountedFrom string `json:"counted_from"`
	Complete    bool
	Gaps        []*record.Record
}

type counts struct {
	Start         time.Time
	Count, Failed uint64
}

// noon is when it is asked, where that matters.
func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func (s *server) summary(path, token string) totals {
	s.t.Helper()
	res, body := s.do("GET", path, token)
	var got totals
	if err := json.Unmarshal(body, &got); err != nil || res.StatusCode != 200 {
		s.t.Fatalf("GET %s: %s, %v\n%s", path, res.Status, err, body)
	}
	return got
}

// summed is what a summary has to say of records.
func summed(records []*record.Record, width time.Duration, facets []store.Facet, top int) totals {
	t := totals{Count: uint64(len(records)), Facets: map[store.Facet][]store.ValueCount{}, Others: map[store.Facet]uint64{}, Complete: true}
	for _, r := range records { // newest first
		start := time.UnixMicro(r.Timestamp.UnixMicro() / width.Microseconds() * width.Microseconds()).UTC()
		if n := len(t.Intervals); n == 0 || !t.Intervals[n-1].Start.Equal(start) {
			t.Intervals = append(t.Intervals, counts{Start: start})
		}
		last := &t.Intervals[len(t.Intervals)-1]
		last.Count++
		if r.Success == record.SuccessNo {
			last.Failed++
		}
	}
	for _, f := range facets {
		n := map[string]uint64{}
		for _, r := range records {
			if v := store.FacetValue(f, r); v != "" {
				n[v]++
			}
		}
		t.Facets[f] = []store.ValueCount{}
		for v, count := range n {
			t.Facets[f] = append(t.Facets[f], store.ValueCount{Value: v, Count: count})
		}
		slices.SortFunc(t.Facets[f], func(a, b store.ValueCount) int {
			if a.Count != b.Count {
				return int(b.Count) - int(a.Count)
			}
			return strings.Compare(a.Value, b.Value)
		})
		t.Others[f] = 0
		for len(t.Facets[f]) > top {
			last := len(t.Facets[f]) - 1
			t.Others[f] += t.Facets[f][last].Count
			t.Facets[f] = t.Facets[f][:last]
		}
	}
	return t
}

// Whoever asks, and for whatever: a summary counts what a listing lists, which
// is nothing of another project or source.
func TestSummaryCountsWhatIsListed(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	records := calls(400, func(i int, r *record.Record) {
		r.Source = []string{"nova", "cinder", "iam", record.Self}[rng.IntN(4)]
		r.Project = []string{"p1", "p2", "p3", ""}[rng.IntN(4)]
		r.Method = []string{"GET", "POST", "DELETE"}[rng.IntN(3)]
		if r.Status = []int{200, 202, 404, 503}[rng.IntN(4)]; r.Status >= 400 {
			r.Success = record.SuccessNo
		}
		r.Action = []string{"server.create", "server.delete", "unknown"}[rng.IntN(3)]
		r.UserID, r.UserName, r.UserEmail = fmt.Sprint("u", rng.IntN(30)), "", ""
		r.UserIP = fmt.Sprint("10.0.", rng.IntN(3), ".", rng.IntN(40))
		r.Object = &record.Object{Type: []string{"server", "volume", ""}[rng.IntN(3)], ID: "<" + strconv.Itoa(i) + ">"}
		r.RequestBody = record.Body{Content: fmt.Appendf(nil, `{"of": "%s_%s"}`, r.Project, r.Source), BodyInfo: record.BodyInfo{State: record.BodyComplete}}
	})
	srv := serve(t, opened(t, records...), func(c *auditapi.Config) { c.Restrict, c.Now = []string{"iam"}, noon })
	callers := []map[string]any{
		nil,
		{"projects": []string{"p1"}},
		{"projects": []string{"p1", "p3"}, "sources": []string{"nova", "iam"}},
		{"sources": []string{}},
		{"roles": "admin"},
		{"roles": "admin", "projects": []string{"p2"}},
		{"roles": "admin", "sources": []string{"nova"}},
	}
	filters := []string{
		"", "source=nova", "source=iam", "source=auditgate", "source=auditgate&source=nova", "user=u3&user=u4", "method=POST", "uri=/v2.1/s*r",
		"action=server.", "success=no", "status=4xx", "user_ip=10.0.1.0/24", "from=2026-11-21T10:01:00Z", "to=2026-11-21T10:05:00Z", "q=p1_nova", "q=p2_auditgate",
	}
	counted := 0
	for who, claims := range callers {
		for range 30 {
			query := filters[rng.IntN(len(filters))]
			if other := filters[rng.IntN(len(filters))]; other[:strings.IndexByte(other+"=", '=')] != query[:strings.IndexByte(query+"=", '=')] {
				query += "&" + other
			}
			project := []string{"-", "-", "p1", "p2"}[rng.IntN(4)]
			caller := token(t, claims)
			if res, _ := srv.do("GET", "/v1/"+project+"/logs", caller); res.StatusCode != 200 {
				srv.refuse(404, "not-found", "GET", "/v1/"+project+"/summary", caller)
				continue
			}
			if res, _ := srv.do("GET", "/v1/"+project+"/logs?"+query, caller); res.StatusCode != 200 { // of a source that the caller may not see
				srv.refuse(404, "not-found", "GET", "/v1/"+project+"/summary?"+query, caller)
				continue
			}
			listed := srv.list("/v1/"+project+"/logs?limit=1000&"+query, caller).Logs
			facets, top := slices.Clone(store.Facets[:rng.IntN(len(store.Facets)+1)]), 1+rng.IntN(15)
			names := make([]string, len(facets))
			for i, f := range facets {
				names[i] = string(f)
			}
			width := time.Duration(4+rng.IntN(100)) * time.Second
			path := fmt.Sprintf("/v1/%s/summary?interval=%s&facets=%s&top=%d&%s", project, width, strings.Join(names, ","), top, query)
			got := srv.summary(path, caller)
			want := summed(listed, width, facets, top)
			if diff := cmp.Diff(want, got, cmp.Transformer("empty", func(c []counts) []counts { return append([]counts{}, c...) }),
				cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Gaps" }, cmp.Ignore())); diff != "" {
				t.Fatalf("caller %d, %s (-want +got):\n%s", who, path, diff)
			}
			counted += len(listed)
		}
	}
	if counted < 1000 {
		t.Errorf("%d records were counted in all, so little was tried", counted)
	}
}

// A summary that runs out of its budget says from when on it has counted, and
// whoever goes on from there counts each record once, also among those of one
// moment.
func TestInterruptedSummariesGoOn(t *testing.T) {
	m := &memory{}
	var moments []string
	for i := range 40 {
		m.put(call(i/4, func(r *record.Record) { // four of a moment
			r.Project = []string{"p1", "p2"}[i%3/2]
			r.UserID, r.UserName = fmt.Sprint("u", i%5), ""
		}))
		moments = append(moments, call(i/4, nil).Timestamp.Format(time.RFC3339))
	}
	srv := serve(t, m, func(c *auditapi.Config) { c.Now = noon })
	for budget := 1; budget < 45; budget++ {
		for _, from := range []string{"", "&from=" + moments[0], "&from=" + moments[13]} {
			const path = "/v1/p1/summary?facets=user&interval=4s"
			m.budget = 0
			want := srv.summary(path+from, token(t, nil))
			m.budget = budget
			n, perUser, perStart, asked := uint64(0), map[string]uint64{}, map[time.Time]uint64{}, 0
			for to := ""; ; asked++ {
				got := srv.summary(path+from+to, token(t, nil))
				n += got.Count
				for _, v := range got.Facets[store.FacetUser] {
					perUser[v.Value] += v.Count
				}
				for _, c := range got.Intervals {
					perStart[c.Start] += c.Count
				}
				if got.Complete != (got.CountedFrom == "") {
					t.Fatalf("budget %d: complete %v, counted from %q", budget, got.Complete, got.CountedFrom)
				}
				if got.Complete {
					break
				}
				to = "&to=" + url.QueryEscape(got.CountedFrom)
			}
			whole := totals{Count: n, Facets: map[store.Facet][]store.ValueCount{store.FacetUser: nil}}
			for _, v := range want.Facets[store.FacetUser] {
				whole.Facets[store.FacetUser] = append(whole.Facets[store.FacetUser], store.ValueCount{Value: v.Value, Count: perUser[v.Value]})
			}
			for _, c := range want.Intervals {
				whole.Intervals = append(whole.Intervals, counts{Start: c.Start, Count: perStart[c.Start]})
			}
			want.Others, want.Complete, want.Gaps = nil, false, nil
			if diff := cmp.Diff(want, whole); diff != "" || budget < 10 && asked < 2 {
				t.Errorf("budget %d, %s: asked %d times more (-want +got):\n%s", budget, from, asked, diff)
			}
		}
	}
}

func TestSummaryHasItsFormAndItsRecord(t *testing.T) {
	m := &memory{}
	m.put(calls(5, func(i int, r *record.Record) {
		if i == 4 {
			r.Success, r.Status = record.SuccessNo, 404
		}
		r.UserName = []string{"<Ann>", "Bob"}[i%2]
	})...)
	srv := serve(t, m, nil)
	for path, want := range map[string]string{
		"/v1/p2/summary":                                              `{"count":0,"intervals":[],"facets":{},"others":{},"complete":true,"gaps":[]}`,
		"/v1/p1/summary/?interval=&facets=&top=":                      `{"count":5,"intervals":[],"facets":{},"others":{},"complete":true,"gaps":[]}`,
		"/v1/-/summary?interval=minute&success=no&facets=object_type": `{"count":1,"intervals":[{"start":"2026-11-21T10:00:00Z","count":1,"failed":1}],"facets":{"object_type":[]},"others":{"object_type":0},"complete":true,"gaps":[]}`,
		"/v1/-/summary?interval=4s&facets=user,status&facets=user&top=1": `{"count":5,"intervals":[{"start":"2026-11-21T10:00:04Z","count":1,"failed":1},{"start":"2026-11-21T10:00:00Z","count":4,"failed":0}],` +
			`"facets":{"status":[{"value":"200","count":4}],"user":[{"value":"<Ann>","count":3}]},"others":{"status":1,"user":2},"complete":true,"gaps":[]}`,
	} {
		res, body := srv.do("GET", path, token(t, nil))
		if strings.TrimSuffix(string(body), "\n") != want || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Link") != "" {
			t.Errorf("GET %s: %s %v\n%s\nwant\n%s", path, res.Status, res.Header, body, want)
		}
		head, none := srv.do("HEAD", path, token(t, nil))
		if head.StatusCode != 200 || len(none) != 0 || head.ContentLength != int64(len(body)) {
			t.Errorf("HEAD %s: %s with %d bytes, length %d; GET has %d", path, head.Status, len(none), head.ContentLength, len(body))
		}
	}
	if _, body := srv.do("GET", "/v1/-/summary?pretty", token(t, nil)); !strings.HasPrefix(string(body), "{\n  \"count\": 5,\n") {
		t.Errorf("pretty: %s", body)
	}
	before := len(srv.audited())
	srv.do("GET", "/v1/p1/summary?user=Bob&interval=60m&facets=user,status&top=3&pretty", token(t, nil))
	waitFor(t, func() bool { return len(srv.audited()) > before })
	got := srv.audited()[before]
	if got.Action != "log.summary" || got.Project != "p1" || got.Query != "facets=user%2Cstatus&interval=1h&top=3&user=Bob" || got.Status != 200 {
		t.Errorf("its record is %+v", got)
	}
}

func TestBadParametersOfSummariesAreNamed(t *testing.T) {
	srv := serve(t, &memory{}, func(c *auditapi.Config) { c.Now = noon })
	for _, tt := range []struct{ query, name, says string }{
		{"limit=5", "limit", "is not a parameter of summaries"},
		{"marker=x", "marker", "is not a parameter of summaries"},
		{"view=full", "view", "is not a parameter of summaries"},
		{"zzz=1", "zzz", "is not a parameter of summaries"},
		{"status=abc", "status", "is not a status"},
		{"from=2026-11-21T11:00:00Z&to=2026-11-21T10:00:00Z", "from", "is not before to"},
		{"interval=1h&interval=2h", "interval", "is given more than once"},
		{"interval=fast", "interval", `"fast" is not an interval: want whole seconds from 1s to 366d, such as 90s, 5m, 1h or 7d, or minute, hour or day`},
		{"interval=0", "interval", "is not an interval"},
		{"interval=0s", "interval", "is not an interval"},
		{"interval=60", "interval", "is not an interval"},
		{"interval=-1h", "interval", "is not an interval"},
		{"interval=1500ms", "interval", "is not an interval"},
		{"interval=1us", "interval", "is not an interval"},
		{"interval=367d", "interval", "is not an interval"},
		{"interval=366d1s", "interval", "is not an interval"},
		{"interval=d", "interval", "is not an interval"},
		{"interval=-1d", "interval", "is not an interval"},
		{"interval=99999d", "interval", "is not an interval"},
		{"interval=9999999h", "interval", "is not an interval"},
		{"interval=1w", "interval", "is not an interval"},
		{"interval=Hour", "interval", "is not an interval"},
		{"interval=1s&from=2026-11-21T11:00:00Z", "interval", "1s is too short: there are 3600 from 2026-11-21T11:00:00Z to 2026-11-21T12:00:00Z, want 2000 at most, which are 2s each"},
		{"interval=1h&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "interval", "1h is too short: there are 52608"},
		{"interval=1d&from=0000-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", "interval", "1d is too short"},
		{"interval=1h&from=2026-08-30T03:59:59Z", "interval", "there are 2001"},
		{"facets=users", "facets", `"users" names a facet that is not known: want some of source project action method status success outcome user user_ip object_type`},
		{"facets=user,request_id", "facets", "is not known"},
		{"facets=User", "facets", "is not known"},
		{"facets=user&facets=nothing", "facets", `"nothing" names`},
		{"top=0", "top", "is not a number of values: want 1 to 100"},
		{"top=-1", "top", "want 1 to 100"},
		{"top=all", "top", "want 1 to 100"},
		{"top=1&top=2", "top", "is given more than once"},
		{"pretty=x", "pretty", "want yes or no"},
	} {
		p := srv.refuse(400, "invalid-parameter", "GET", "/v1/-/summary?"+tt.query, token(t, nil))
		if len(p.Errors) != 1 || p.Errors[0].Parameter != tt.name || !strings.Contains(p.Errors[0].Detail, tt.says) {
			t.Errorf("%s: errors are %v, want one that names %s and says %q", tt.query, p.Errors, tt.name, tt.says)
		}
	}
	for _, query := range []string{
		"interval=1s", "interval=366d&from=0000-01-01T00:00:00Z", "interval=1h&from=2026-08-30T04:00:00Z", "interval=1d12h", "interval=1h0m0s", "top=101", "top=99999999999999999999",
		"facets=user,,status,user&facets=", "interval=2s&from=2026-11-21T11:00:00Z", "interval=1s&from=2026-11-21T13:00:00Z", "interval=1s&to=2026-11-21T10:00:00Z",
	} {
		srv.summary("/v1/-/summary?"+query, token(t, nil))
	}
	// Headers of other parameters are headers.
	if res, body := srv.do("GET", "/v1/-/summary", token(t, nil), "Limit", "0", "Marker", "x", "Source", "nova"); res.StatusCode != 200 {
		t.Errorf("%s\n%s", res.Status, body)
	}
}

func TestSummaryLeavesOutOldIntervalsAloud(t *testing.T) {
	m := &memory{}
	m.put(calls(store.MaxIntervals+30, nil)...)
	got := serve(t, m, nil).summary("/v1/-/summary?interval=1s", token(t, nil))
	if len(got.Intervals) != store.MaxIntervals || got.Older != 30 || got.Count != store.MaxIntervals+30 || !got.Complete ||
		!got.Intervals[0].Start.Equal(call(store.MaxIntervals+29, nil).Timestamp) {
		t.Errorf("%d records, %d intervals, %d older, complete %v", got.Count, len(got.Intervals), got.Older, got.Complete)
	}
}
