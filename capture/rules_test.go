package capture_test

import (
	"slices"
	"testing"

	"github.com/auditgate/auditgate/capture"
)

func TestStatusesAreNumbersAndClasses(t *testing.T) {
	var s capture.Statuses
	if !s.Has(200) || !s.Has(599) || !s.Has(999) {
		t.Error("the zero set has not every status")
	}
	for _, text := range []string{"404", "5xx", "101"} {
		if err := s.Add(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for status := range 1000 {
		if got, want := s.Has(status), status == 404 || status/100 == 5 || status == 101; got != want {
			t.Errorf("has %d: %v", status, got)
		}
	}
	for _, text := range []string{"", "4", "4XX", "40x", "x04", "600", "6xx", "0xx", "4040", "-04", "4+4"} {
		before := s
		if err := s.Add(text); err == nil || s != before {
			t.Errorf("%q was added", text)
		}
	}
}

func TestStatusesAreCompared(t *testing.T) {
	set := func(texts ...string) (s capture.Statuses) {
		for _, text := range texts {
			if err := s.Add(text); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	every := set()
	for _, x := range []struct {
		a, b       capture.Statuses
		both, rest []string // nil: nothing; empty: every status
	}{
		{set("404", "5xx"), set("4xx"), []string{"404"}, []string{"5xx"}},
		{set("2xx"), set("404"), nil, []string{"2xx"}},
		{set("2xx", "404"), every, []string{"2xx", "404"}, nil},
		{every, set("404"), []string{"404"}, []string{}},
		{every, every, []string{}, nil},
	} {
		for name, of := range map[string]struct {
			is   func(capture.Statuses) (capture.Statuses, bool)
			want []string
		}{"and": {x.a.And, x.both}, "without": {x.a.Without, x.rest}} {
			got, some := of.is(x.b)
			if some != (of.want != nil) || some && !slices.Equal(got.Texts(), of.want) {
				t.Errorf("%v %s %v is %v (%v), want %v", x.a.Texts(), name, x.b.Texts(), got.Texts(), some, of.want)
			}
		}
	}
	if rest, _ := set("4xx").Without(set("404", "5xx")); rest.Has(404) || !rest.Has(405) || len(rest.Texts()) != 99 {
		t.Errorf("4xx without 404 is %v", rest.Texts())
	}
}
