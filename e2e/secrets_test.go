package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Secrets are planted in every position and encoding. What is not secret beside
// them has to be found, by the same search, or it proves nothing.
func TestPlantedSecretsAreFoundNowhere(t *testing.T) {
	of := new(garden)
	calls := of.calls(t)
	controls := of.controls()
	calls = append(calls, controls...)
	upstream := secretUpstream(t, calls)
	g := newSecretGateway(t, upstream.Listener.Addr().String())
	g.start()
	g.bearer = g.token("admin")

	answers := g.make(calls)
	g.breakOff(of, slices.Concat(inJSONBodies()[:3], inForms()[:3], inTexts()[:3], inMultipart()[:3]))
	g.frames(of, "defaults", "hmac")
	g.hold(of)
	host, _, _ := of.text(position{name: "host", text: "token=§"}, "request", "", false, false)
	g.raw("hmac", "GET /x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	answers = append(answers, g.strangers(of)...)

	s := newSearch(of.plants)
	s.in("answers of the gateway", answers)
	g.readBack(s, "journal", false)
	s.in("metrics", g.metrics())
	g.signal(syscall.SIGKILL)
	s.files(t, "killed", g.dir)
	g.start()
	g.readBack(s, "journal again", false)
	g.stop()
	s.files(t, "stopped", g.dir)
	g.start()
	g.readBack(s, "blocks", true)
	s.in("metrics", g.metrics())
	log := g.log()
	if !strings.Contains(log, "panic serving") || !strings.Contains(log, "dial tcp") {
		t.Error("the log knows of no panic, or of no upstream that is down")
	}
	s.in("log", []byte(log))
	s.report(t, of.plants)
}

// controls plants words that are not secret, in all the ways that the search
// knows.
func (g *garden) controls() (calls []*secretCall) {
	for name, c := range map[string]coding{
		"plain": nil, "base64": inBase64, "percent-coded": hexPercent, "escaped": hexJSON,
		"hexadecimal": func(text string) string { return fmt.Sprintf("%x", text) },
		"UTF-16":      func(text string) string { return string(utf16of([]byte(text), false)) },
	} {
		text := g.word("control", name).text
		if c != nil {
			text = c(text)
		}
		call := newSecretCall("control, "+name, "defaults")
		call.header.Set("Content-Type", "text/plain")
		if name == "UTF-16" {
			call.header.Set("Content-Type", "image/png")
			text = "\x89PNG\r\n\x1a\n" + text
		}
		call.body = []byte(text)
		calls = append(calls, call)
	}
	call := newSecretCall("control, target", "defaults")
	call.target = "/" + g.word("control", "target").text
	return append(calls, call)
}

// readBack searches all that the audit API gives; with whole, each record and
// body by itself too.
func (g *secretGateway) readBack(s *search, from string, whole bool) {
	g.t.Helper()
	var ids []string
	for end := time.Now().Add(patience); len(ids) < g.made && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ids = g.listings(nil, from, url.Values{"limit": {"1000"}, "view": {"summary"}})
	}
	if len(ids) != g.made {
		g.t.Errorf("%s: %d calls are %d records", from, g.made, len(ids))
	}
	g.listings(s, from, url.Values{"limit": {"1000"}})
	g.listings(s, from, url.Values{"source": {"auditgate"}, "limit": {"1000"}})
	if !whole {
		return
	}
	type answer struct {
		what string
		body []byte
	}
	answers := make(chan answer)
	var readers sync.WaitGroup
	for some := range slices.Chunk(ids, len(ids)/8+1) {
		readers.Go(func() {
			for _, id := range some {
				for _, path := range []string{"", "/request_body", "/response_body"} {
					_, body, err := g.ask("/v1/-/logs/" + id + path)
					if err != nil {
						g.t.Error(err)
					}
					answers <- answer{map[bool]string{true: "record", false: "download"}[path == ""], body}
				}
			}
		})
	}
	go func() { // ends with the readers
		readers.Wait()
		close(answers)
	}()
	for a := range answers {
		s.in(a.what, a.body)
	}
}

// listings returns the ids in a listing, and searches it page by page if s is
// not nil.
func (g *secretGateway) listings(s *search, from string, query url.Values) (ids []string) {
	g.t.Helper()
	for {
		text := g.get("/v1/-/logs?" + query.Encode())
		if s != nil {
			s.in("listing from the "+from, text)
		}
		var p struct {
			Logs []struct {
				EventID string `json:"event_id"`
			}
			Marker string
			Gaps   []json.RawMessage
		}
		if err := json.Unmarshal(text, &p); err != nil {
			g.t.Fatal(err)
		}
		if len(p.Gaps) > 0 {
			g.t.Errorf("the listing has gaps: %s", p.Gaps)
		}
		for _, r := range p.Logs {
			ids = append(ids, r.EventID)
		}
		if p.Marker == "" {
			return ids
		}
		query = url.Values{"marker": {p.Marker}, "limit": {"1000"}}
	}
}

// finding is what was found of one position.
type finding struct {
	variants, places map[string]bool
	excerpt          string
}

// report fails with a table: what was found, in which variants of its position,
// and where.
func (s *search) report(t *testing.T, plants []*plant) {
	t.Helper()
	positions, secrets := map[string]bool{}, 0
	findings := map[string]*finding{}
	add := func(position, variant, place, excerpt string) {
		f := findings[position]
		if f == nil {
			f = &finding{map[string]bool{}, map[string]bool{}, excerpt}
			findings[position] = f
		}
		f.variants[variant], f.places[place] = true, true
	}
	seen := map[string]bool{} // where something is that is not secret
	for _, p := range plants {
		found := s.found[p]
		if p.open {
			recorded := false
			for place := range found {
				seen[place] = true
				recorded = recorded || strings.HasPrefix(place, "listing") || strings.HasPrefix(place, "download")
			}
			if !recorded {
				add(p.position, p.variant, "no record, though it is not secret", p.text)
			}
			continue
		}
		positions[p.position] = true
		secrets++
		for place, excerpt := range found {
			place, _, _ = strings.Cut(place, " (") // in whatever reading
			add(p.position, p.variant, place, excerpt)
		}
	}
	t.Logf("%d secrets in %d positions, and %d words that are not secret", secrets, len(positions), len(plants)-secrets)
	for _, position := range slices.Sorted(maps.Keys(findings)) {
		f := findings[position]
		list := func(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), "; ") }
		t.Errorf("%s\n\tas %s\n\tfound in %s\n\t%s", position, list(f.variants), list(f.places), f.excerpt)
	}
	for _, place := range []string{
		"listing from the journal", "listing from the journal again", "listing from the blocks", "record", "download", "log",
		"killed: journal, decompressed", "stopped: blocks, decompressed",
		"download (base64)", "download (hexadecimal)", "download (percent-coded)", "download (escaped)", "download (UTF-16)",
	} {
		if !seen[place] {
			t.Errorf("nothing was found in %s: the search does not see what is there", place)
		}
	}
}
