package redact_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

func newRules(t testing.TB, o redact.Options) *redact.Redactor {
	t.Helper()
	o.Key = key('k')
	r, err := redact.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPointersAreSecret(t *testing.T) {
	r := newRules(t, redact.Options{Pointers: []string{"/server/note", "/list/1", "/a~1b/~0c", "/ssn", "/blob/n", "/all/*/n"}})
	h, n := value(t, canary), value(t, "7")
	for _, test := range []struct{ contentType, in, want string }{
		{"application/json", `{"server":{"note":"CaNaRy-7f3k","Note":"x"},"note":"x"}`, `{"server":{"note":"` + h + `","Note":"x"},"note":"x"}`},
		{"application/json", `{"list":[1,7,{"a":1}]}`, `{"list":[1,"` + n + `",{"a":1}]}`},
		{"application/json", `{"a/b":{"~c":["CaNaRy"]},"s\u0073n":7}`, `{"a/b":{"~c":"` + value(t, `["CaNaRy"]`) + `"},"s\u0073n":"` + n + `"}`},
		{"application/json", `{"all":[{"n":7,"m":1},{"n":7}]}`, `{"all":[{"n":"` + n + `","m":1},{"n":"` + n + `"}]}`},
		{"application/json", `{"all":{"a":{"n":1},"*":{"n":7}}}`, `{"all":{"a":{"n":1},"*":{"n":"` + n + `"}}}`},
		{"application/json", `{"blob":"{\"n\":7}","ssn":null}`, `{"blob":"{\"n\":\"` + n + `\"}","ssn":null}`},
		{"application/json", `{"x":{"ssn":7},"list":{"1":"a","2":"b"}}`, `{"x":{"ssn":7},"list":{"1":"` + value(t, "a") + `","2":"b"}}`},
		{"application/x-www-form-urlencoded", "a=1&ssn=7&x=ssn&blob=%7B%22n%22:7%7D", "a=1&ssn=" + n + "&x=ssn&blob=%7B%22n%22:%22" + url.QueryEscape(n) + "%22%7D"},
	} {
		if res := bodyIn(t, r, redact.Call{}, test.contentType, test.in, false); string(res.Content) != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.in, res.Content, test.want)
		}
		for cut := range len(test.in) {
			if res := bodyIn(t, r, redact.Call{}, test.contentType, test.in[:cut], true); leaks(string(res.Content)) != "" {
				t.Errorf("%s kept a secret in %s", test.in[:cut], res.Content)
			}
		}
	}
	if got, _ := r.Query("ssn=7", nil); got != "ssn=7" {
		t.Errorf("a pointer, which is for bodies, changed a query: %s", got)
	}
}

func TestKeepHoldsForItsCallsAlone(t *testing.T) {
	r := newRules(t, redact.Options{Keep: []redact.Keep{
		{Pointer: "/token", Path: "/v3/auth/tokens"}, {Pointer: "/auth/identity/password", Method: "POST", Path: "/v3/auth/tokens"}, {Pointer: "/secret", Method: "*", Path: "/projects/:id/*"},
	}})
	login, x := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"ada","password":"x"}}}}}`, value(t, "x")
	kept := strings.ReplaceAll(login, `"password":"x"`, `"password":"`+x+`"`)
	hidden := strings.ReplaceAll(login, `{"user":{"name":"ada","password":"x"}}`, `"`+value(t, `{"user":{"name":"ada","password":"x"}}`)+`"`)
	secret := `{"secret":{"id":1,"passwd":"x"},"a":{"secret":"x"}}`
	judged := `{"secret":{"id":1,"passwd":"` + x + `"},"a":{"secret":"` + x + `"}}`
	for _, test := range []struct {
		call     redact.Call
		in, want string
	}{
		{redact.Call{Method: "POST", Path: "/v3/auth/tokens"}, login, kept},
		{redact.Call{Method: "POST", Path: "/v3//auth/./tokens/"}, login, kept},
		{redact.Call{Method: "POST", Path: "/v3%2Fauth/tokens"}, login, hidden}, // servers do not agree on it
		{redact.Call{Method: "POST", Path: "/v3/x/%2e%2e/auth/tokens"}, login, kept},
		{redact.Call{Method: "GET", Path: "/v3/auth/tokens"}, login, hidden},
		{redact.Call{Method: "POST", Path: "/v3/auth"}, login, hidden},
		{redact.Call{Method: "POST", Path: "/v3/auth/tokens/x"}, login, hidden},
		{redact.Call{}, login, hidden},
		{redact.Call{Method: "GET", Path: "/v3/auth/tokens"}, `{"token":{"expires_at":"2026","user":{"password":"x"}}}`, `{"token":{"expires_at":"2026","user":{"password":"` + x + `"}}}`},
		{redact.Call{Method: "PUT", Path: "/projects/7/a/b"}, secret, judged},
		{redact.Call{Method: "PUT", Path: "/projects/a%2Fb"}, secret, judged},
	} {
		res := bodyIn(t, r, test.call, "application/json", test.in, false)
		if string(res.Content) != test.want {
			t.Errorf("%v\n got %s\nwant %s", test.call, res.Content, test.want)
		}
	}
	if res := bodyIn(t, r, redact.Call{Path: "/v3/auth/tokens"}, "application/x-www-form-urlencoded", "token=x&secret=x", false); string(res.Content) != "token=x&secret="+x {
		t.Errorf("form: %s", res.Content)
	}
}

func TestSecretsInPathsAreHidden(t *testing.T) {
	r := newRules(t, redact.Options{Paths: []string{"/reset/:secret", "/u/:id/magic/:secret/*", "/:secret/hook"}})
	h := value(t, canary)
	for _, test := range []struct{ in, want string }{
		{"/reset/CaNaRy-7f3k", "/reset/" + h},
		{"/reset/CaNaRy%2D7f3k?a=b", "/reset/" + h + "?a=b"},
		{"/RESET//CaNaRy-7f3k/", "/RESET//" + h + "/"},
		{"/x/../r%65set/./CaNaRy-7f3k", "/x/../r%65set/./" + h},
		{"/reset%2FCaNaRy-7f3k", "/reset%2F" + h},
		{"//reset/CaNaRy-7f3k", "//reset/" + h},
		{"https://h:1/reset/CaNaRy-7f3k#x", "https://h:1/reset/" + h + "#x"},
		{"/u/5/magic/CaNaRy-7f3k/a/b", "/u/5/magic/" + h + "/a/b"},
		{"/u/5/magic/CaNaRy-7f3k", "/u/5/magic/" + h},
		{"/CaNaRy-7f3k/hook", "/" + h + "/hook"},
		{"/x?to=/reset/CaNaRy-7f3k&b=c", "/x?to=/reset/" + h + "&b=c"},
		{"/x?to=https%3A%2F%2Fh%2Freset%2FCaNaRy-7f3k&b=c", "/x?to=https%3A%2F%2Fh%2Freset%2F" + h + "&b=c"},
		{"/docs/reset/howto", "/docs/reset/howto"},
		{"/reset/a/b", "/reset/a/b"},
		{"/reset", "/reset"},
		{"/u/5", "/u/5"},
	} {
		for range 2 {
			if got, _ := r.URL(test.in, "uri", nil); got != test.want {
				t.Errorf("%s became %s, want %s", test.in, got, test.want)
			}
			test.in = test.want
		}
	}
	for _, in := range []string{"/reset/CaNaRy-7f3k", "/u/5/magic/CaNaRy-7f3k/a", "https://h/reset/CaNaRy-7f3k?a"} {
		for limit := range len(in) {
			if got, _ := r.URL(redact.Cut(in, limit), "uri", nil); leaks(got) != "" {
				t.Errorf("%s, cut at %d, became %s", in, limit, got)
			}
		}
	}
	head := record.Headers{{Name: "Referer", Value: "https://h/reset/CaNaRy-7f3k?x"}, {Name: "Link", Value: `</reset/CaNaRy-7f3k>; rel="self"`}, {Name: "X", Value: "see reset/howto, /reset and h/reset/howto"}}
	r.Headers(head, "request_headers", nil)
	want := record.Headers{{Name: "Referer", Value: "https://h/reset/" + h + "?x"}, {Name: "Link", Value: "</reset/" + h + `>; rel="self"`}, {Name: "X", Value: "see reset/howto, /reset and h/reset/howto"}}
	if diff := cmp.Diff(want, head); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	in := `{"mail":"open https://h/reset/CaNaRy-7f3k, please","path":"\/reset\/CaNaRy-7f3k"}`
	if res := bodyIn(t, r, redact.Call{}, "application/json", in, false); string(res.Content) != strings.ReplaceAll(in, canary, h) {
		t.Errorf("body: %s", res.Content)
	}
}

func TestModesPutTheirOwnTextInPlace(t *testing.T) {
	in := `{"password":"x","pin":5,"token":{"a":1},"secret":"","url":"http://u:p@h/?token=x&a=b","log":"a: 1\npassword: x y\nb: 2"}`
	for mode, want := range map[redact.Mode]string{
		redact.Mask: `{"password":"***","pin":"***","token":"***","secret":"","url":"http://***@h/?token=***&a=b","log":"a: 1\npassword: ***\nb: 2"}`,
		redact.Drop: `{"password":"","pin":"","token":"","secret":"","url":"http://@h/?token=***&a=b","log":"a: 1\npassword: ***\nb: 2"}`,
	} {
		r := newRules(t, redact.Options{Mode: mode})
		if res := bodyIn(t, r, redact.Call{}, "application/json", in, false); string(res.Content) != want || !res.Changed {
			t.Errorf("%s\n got %s\nwant %s", mode, res.Content, want)
		}
		h := record.Headers{{Name: "Authorization", Value: "Bearer x"}}
		places := r.Headers(h, "request_headers", nil)
		query, _ := r.Query("a=b&token=x", nil)
		stands := map[redact.Mode]string{redact.Mask: "***"}[mode]
		if h[0].Value != stands || query != "a=b&token="+stands || len(places) != 1 {
			t.Errorf("%s: %q and %s", mode, h[0].Value, query)
		}
	}
	for _, mode := range []redact.Mode{redact.HMAC, redact.Mask, redact.Drop} {
		if got, err := redact.ParseMode(mode.String()); got != mode || err != nil {
			t.Errorf("%s: %s, %v", mode, got, err)
		}
	}
	if _, err := redact.ParseMode("hide"); err == nil || err.Error() != `redaction mode "hide": want hmac, mask or drop` {
		t.Error(err)
	}
}

func TestCardNumbersAreHiddenOnRequest(t *testing.T) {
	r := newRules(t, redact.Options{Values: []string{"card"}})
	for _, number := range []string{"4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3782 822463 10005", "6011000990139424", "30569309025904", "4222222222222"} {
		h := value(t, strings.NewReplacer(" ", "", "-", "").Replace(number))
		for _, frame := range []string{`{"a":"%s"}`, `{"a":"2026-11-22 %s 12/29"}`, `{"a":"pay (%s), now"}`} {
			in := fmt.Sprintf(frame, number)
			if res := bodyIn(t, r, redact.Call{}, "application/json", in, false); string(res.Content) != fmt.Sprintf(frame, h) {
				t.Errorf("%s became %s", in, res.Content)
			}
			for cut := range len(in) {
				res := bodyIn(t, r, redact.Call{}, "application/json", in[:cut], true)
				if strings.Contains(string(res.Content), number[:4]) {
					t.Errorf("%s kept %s", in[:cut], res.Content)
				}
			}
		}
		if got, _ := r.Query("a="+strings.ReplaceAll(number, " ", "+")+"&b=1", nil); got != "a="+h+"&b=1" {
			t.Errorf("query: %s", got)
		}
	}
	in := `{"n":4111111111111111,"m":[5555555555554444]}`
	if res := bodyIn(t, r, redact.Call{}, "application/json", in, false); string(res.Content) != `{"n":"`+value(t, "4111111111111111")+`","m":["`+value(t, "5555555555554444")+`"]}` {
		t.Errorf("numbers: %s", res.Content)
	}
	for _, in := range []string{
		`{"a":"4111111111111112","b":"x4111111111111111","c":"41111111111111111111111","d":"1234567890123452","e":4111111111111112,"f":"0190aaaa-4111-1111-1111-1111aaaaaaaa"}`,
		`{"a":"2026-11-22T10:00:00.123456Z","b":1732233600000,"c":"` + token + `"}`,
	} {
		if res := bodyIn(t, r, redact.Call{}, "application/json", in, false); string(res.Content) != in {
			t.Errorf("%s became %s", in, res.Content)
		}
	}
	none := newRules(t, redact.Options{Values: []string{}})
	if res := bodyIn(t, none, redact.Call{}, "text/plain", block+token, false); res.Changed {
		t.Errorf("without detectors: %s", res.Content)
	}
}

func TestNewRefusesBadRules(t *testing.T) {
	many := make([]string, redact.MaxRules+1)
	for _, test := range []struct {
		options redact.Options
		want    string
	}{
		{redact.Options{Pointers: []string{"a"}}, `pointer "a": want a JSON pointer that begins with /`},
		{redact.Options{Pointers: []string{""}}, `pointer "": want a JSON pointer`},
		{redact.Options{Pointers: []string{"/a~2"}}, `pointer "/a~2": want ~ written as ~0`},
		{redact.Options{Pointers: many}, "257 secret pointers, want no more than 256"},
		{redact.Options{Keep: []redact.Keep{{Pointer: "x"}}}, `keep: pointer "x"`},
		{redact.Options{Keep: []redact.Keep{{Pointer: "/x", Path: "a"}}}, `keep /x: path "a": want one that begins with /`},
		{redact.Options{Paths: []string{"/a/:id"}}, `secret path "/a/:id": no segment is named :secret`},
		{redact.Options{Paths: []string{"/a//:secret"}}, `secret path "/a//:secret": "" is no segment`},
		{redact.Options{Paths: []string{"/a*/:secret"}}, `want segment "a*" as *, as :name, or as plain text`},
		{redact.Options{Values: []string{"ssn"}}, `detector of values "ssn": want jwt, pem or card`},
		{redact.Options{Mode: 9}, "redaction mode 9 is not known"},
	} {
		test.options.Key = key('k')
		if _, err := redact.New(test.options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestExplainSaysWhatHolds(t *testing.T) {
	keep := redact.Keep{Pointer: "/token", Method: "GET", Path: "/v3/*"}
	r := newRules(t, redact.Options{
		Headers: []string{"X-A"}, Fields: []string{"ssn"}, Pointers: []string{"/a"}, Paths: []string{"/reset/:secret", "/v3/:secret"}, Mode: redact.Mask,
		Keep: []redact.Keep{keep, {Pointer: "/b", Path: "/x"}},
	})
	want := redact.Explanation{
		Headers: []string{"X-A"}, Fields: []string{"ssn"}, Pointers: []string{"/a"}, Paths: []string{"/v3/:secret"}, Values: []string{"jwt", "pem"}, Mode: redact.Mask,
		Keep: []redact.Keep{keep},
	}
	if diff := cmp.Diff(want, r.Explain(redact.Call{Method: "GET", Path: "/v3/x"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e := r.Explain(redact.Call{Method: "POST", Path: "/"}); e.Keep != nil || e.Paths != nil {
		t.Errorf("%+v", e)
	}
}

func TestBinaryIsKeptOnRequest(t *testing.T) {
	for _, test := range []struct {
		contentType, in string
		want            record.BodyState
	}{
		{"application/grpc", "\x00\x00\x00\x00\x02\x08\x01", record.BodyBinary},
		{"application/octet-stream", "plain text", record.BodyComplete},
		{"", "\x7fELF\xff\x00", record.BodyBinary},
		{"application/json", "{\"a\":\"\xff\"}", record.BodyWithheld},
	} {
		res := newRedactor(t).Body(redact.Body{ContentType: test.contentType, Content: []byte(test.in), Binary: true})
		if res.State != test.want || test.want != record.BodyWithheld && string(res.Content) != test.in {
			t.Errorf("%s %q: %s %q", test.contentType, test.in, res.State, res.Content)
		}
	}
	res := newRedactor(t).Body(redact.Body{ContentType: "application/protobuf", Content: []byte("password=x"), Binary: true})
	if want := "password=" + value(t, "x"); string(res.Content) != want {
		t.Errorf("got %s, want %s", res.Content, want)
	}
}
