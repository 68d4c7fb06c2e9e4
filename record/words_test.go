package record_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
)

func TestWordsAreFoundWholeAndInLowerCase(t *testing.T) {
	for text, want := range map[string][]string{
		`Hello, wörld_2!`:               {"hello", "wörld_2"},
		`{"id":"0190a1b2-77aa-7000"}`:   {"id", "0190a1b2", "77aa", "7000"},
		`"line\nnext"`:                  {"line", "next", "nnext"},
		`C:\new\Users`:                  {"c", "ew", "new", "users"},
		`"caf\u00e9 Gr\u00FCn \u12"`:    {"café", "grün", "u12"},
		`a\"b\\c\/d`:                    {"a", "b", "c", "d"},
		"ÀÉ e\u0301t\u00e9":             {"àé", "e\u0301t\u00e9"},
		strings.Repeat("x", 300):        {strings.Repeat("x", record.MaxWordLen)},
		`\n` + strings.Repeat("y", 300): {strings.Repeat("y", record.MaxWordLen), "n" + strings.Repeat("y", record.MaxWordLen-1)},
		"":                              nil,
		`\`:                             nil,
		"\xff\xfea":                     {"a"},
		`\ud83d\ude00`:                  {"ud83d", "ude00"},
		`日本語 Ⅷ x`:                       {"日本語", "x"},
	} {
		got := record.Words(text)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestWordsStandInURIQueryHeadersAndBodies(t *testing.T) {
	r := full()
	r.URI, r.Query = "/v2.1/caf%C3%A9", "name=two%20words&x=%zz"
	for _, words := range []string{"v2", "1", "CAFÉ", "two words", "zz", "accept b", "server x", "grpc 0", "checksum", "a servers"} {
		q := record.Query{Words: record.Words(words)}
		if want := words != "a servers"; q.MatchWords(r) != want {
			t.Errorf("%q: want %t", words, want)
		}
	}
	if q := (record.Query{Words: []string{"serve"}}); q.MatchWords(r) {
		t.Error("a part of a word was found")
	}
}

func FuzzWords(f *testing.F) {
	f.Add([]byte(`{"a\n\u00e9":"b\\"}`))
	f.Add([]byte(`Ada_LOVELACE2 aB` + strings.Repeat("Zz", record.MaxWordLen)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if ascii := !slices.ContainsFunc(text, func(b byte) bool { return b >= utf8.RuneSelf }); ascii && !bytes.Contains(text, []byte(`\`)) {
			got, want := record.Words(string(text)), record.Words(strings.ToLower(string(text)))
			if !slices.Equal(got, want) {
				t.Fatalf("%q: words %q, in small letters %q", text, got, want)
			}
		}
		record.EachWord(text, func(word []byte) bool {
			if len(word) == 0 || len(word) > record.MaxWordLen {
				t.Fatalf("word of %d bytes", len(word))
			}
			if utf8.Valid(text) && !utf8.Valid(word[:min(len(word), record.MaxWordLen-utf8.UTFMax)]) {
				t.Fatalf("%q is no text", word)
			}
			return true
		})
	})
}
