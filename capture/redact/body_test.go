package redact_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

const canary = "CaNaRy-7f3k"

// bodyOf redacts content and checks what holds of every body: the input is not
// touched, and to redact twice is to redact once. Of a beginning that was cut
// again, where a secret was, the end may look like half a secret and go too.
func bodyOf(t testing.TB, contentType, content string, cut bool) redact.Result {
	t.Helper()
	return bodyIn(t, newRedactor(t), redact.Call{}, contentType, content, cut)
}

func bodyIn(t testing.TB, r *redact.Redactor, call redact.Call, contentType, content string, cut bool) redact.Result {
	t.Helper()
	in := []byte(content)
	res := r.Body(redact.Body{ContentType: contentType, Content: in, Truncated: cut, Side: "request_body", Call: call})
	if string(in) != content {
		t.Fatalf("the input became %q", in)
	}
	if res.State == record.BodyWithheld {
		if res.Content != nil || res.Reason == "" || !res.Changed {
			t.Fatalf("withheld, but %+v", res)
		}
		return res
	}
	again := r.Body(redact.Body{ContentType: contentType, Content: res.Content, Truncated: cut, Side: "request_body", Call: call})
	same := bytes.Equal(again.Content, res.Content) && len(again.Redacted) == 0
	if !same && (!cut || !bytes.HasPrefix(res.Content, again.Content)) {
		t.Fatalf("%q\nbecame  %q\nand then %q (%s %s) at %q", content, res.Content, again.Content, again.State, again.Reason, again.Redacted)
	}
	return res
}

// value is what stands for a secret.
func value(t testing.TB, secret string) string { return newRedactor(t).Value([]byte(secret)) }

func TestBodyKeepsWhatIsNotSecret(t *testing.T) {
	h := value(t, canary)
	for _, test := range []struct {
		contentType, in, want string
		places                []string
	}{
		{"application/json", `{ "user" : "ada","password":"CaNaRy-7f3k", "n":1.50e+3}`, `{ "user" : "ada","password":"` + h + `", "n":1.50e+3}`, []string{"/password"}},
		{"application/json; charset=utf-8", `{"server":{"adminPass":"CaNaRy-7f3k","name":"\u00fc\/"}}`, `{"server":{"adminPass":"` + h + `","name":"\u00fc\/"}}`, []string{"/server/adminPass"}},
		{"application/problem+json", `[1,{"a/b":{"p\u0061ssword":"CaNaRy-7\u00663k"}}]`, `[1,{"a/b":{"p\u0061ssword":"` + h + `"}}]`, []string{"/1/a~1b/password"}},
		{"application/json", `{"token":{"id":"x","roles":[1,{"a":"]"}]},"next_token":"abc"}`, `{"token":"` + value(t, `{"id":"x","roles":[1,{"a":"]"}]}`) + `","next_token":"abc"}`, []string{"/token"}},
		{"application/json", `{"pin":1234,"otp":true,"secret":null,"passwd":"","totp":-0.5e1}`, `{"pin":"` + value(t, "1234") + `","otp":"` + value(t, "true") + `","secret":null,"passwd":"","totp":"` + value(t, "-0.5e1") + `"}`, []string{"/pin", "/otp", "/totp"}},
		{"application/json", `{"password":"CaNaRy-7f3k","password":"CaNaRy-7f3k"}`, `{"password":"` + h + `","password":"` + h + `"}`, []string{"/password"}},
		{"application/x-ndjson", "{\"password\":\"CaNaRy-7f3k\"}\n{\"a\":1}\n", "{\"password\":\"" + h + "\"}\n{\"a\":1}\n", []string{"/password"}},
		{"application/json-seq", "\x1e{\"password\":\"CaNaRy-7f3k\"}\n\x1e{\"a\":1}\n", "\x1e{\"password\":\"" + h + "\"}\n\x1e{\"a\":1}\n", []string{"/password"}},
		{"application/json", `{"blob":"{\"access\":\"1\\\/8\",\"secret\":\"CaNaRy-7f3k\"}"}`, `{"blob":"{\"access\":\"1\\\/8\",\"secret\":\"` + h + `\"}"}`, []string{"/blob/secret"}},
		{"application/json", `{"a":"[\"{\\\"token\\\":\\\"CaNaRy-7f3k\\\"}\"]"}`, `{"a":"[\"{\\\"token\\\":\\\"` + h + `\\\"}\"]"}`, []string{"/a/0/token"}},
		{"application/json", `{"url":"https:\/\/h\/p?a=1&token=CaNaRy-7f3k&b=2"}`, `{"url":"https:\/\/h\/p?a=1&token=` + h + `&b=2"}`, []string{"/url/token"}},
		{"application/json", `{"url":"https://h/p?token\u003dCaNaRy-7f3k\u0026b=2"}`, `{"url":"https://h/p?token\u003d` + h + `\u0026b=2"}`, []string{"/url/token"}},
		{"application/json", `{"url":"git+ssh://CaNaRy-7f3k@h/p", "mail":"a@b"}`, `{"url":"git+ssh://` + h + `@h/p", "mail":"a@b"}`, []string{"/url"}},
		{"application/json", `{"next":"/login?to=https%3A%2F%2Fh%2F%3Ftoken%3DCaNaRy-7f3k%26x%3D1"}`, `{"next":"/login?to=https%3A%2F%2Fh%2F%3Ftoken%3D` + h + `%26x%3D1"}`, []string{"/next/token"}},
		{"application/json", `{"message":"invalid token: expired","error":"password=none of these"}`, `{"message":"invalid token: expired","error":"password=` + value(t, "none") + ` of these"}`, []string{"/error/password"}},
		{"application/json", "\xEF\xBB\xBF" + `{"password":"CaNaRy-7f3k"}`, "\xEF\xBB\xBF" + `{"password":"` + h + `"}`, []string{"/password"}},
		{"application/json", `{"http://u:CaNaRy@h/":{"token":"CaNaRy-7f3k","b":"c"},"d":{"pin":"x"}}`, `{"http://` + value(t, "u:CaNaRy") + `@h/":{"token":"` + h + `","b":"c"},"d":{"pin":"` + value(t, "x") + `"}}`, []string{"", "/http:~1~1" + value(t, "u:CaNaRy") + "@h~1/token", "/d/pin"}},
		{"application/json", `[{"a":{"token=CaNaRy-7f3k":1}}]`, `[{"a":{"token=` + h + `":1}}]`, []string{"/0/a/token"}},
		{"application/json", `{"{\"password\":\"CaNaRy-7f3k\"}":{"pin":"x"}}`, `{"{\"password\":\"` + h + `\"}":{"pin":"` + value(t, "x") + `"}}`, []string{"/password", `/{"password":"` + h + `"}/pin`}},
		{"application/json", `{"http://CaNaRy-7f3k@h/?password":"x"}`, `{"http://` + h + `@h/?password":"` + value(t, "x") + `"}`, []string{"", "/http:~1~1" + h + "@h~1?password"}},
		{"application/json", `{"m":"Invalid input: {\"password\": \"CaNaRy-7f3k\", \"a\": 1}"}`, `{"m":"Invalid input: {\"password\": \"` + h + `\", \"a\": 1}"}`, []string{"/m/password"}},
		{"application/json", `{"m":"body was {'a': 1, 'password': 'CaNaRy-7f3k'}"}`, `{"m":"body was {'a': 1, 'password': '` + h + `'}"}`, []string{"/m/password"}},
		{"application/json", `{"m":"got {u'password': u'CaNaRy-7f3k'}"}`, `{"m":"got {u'password': u'` + h + `'}"}`, []string{"/m/password"}},
		{"application/json", `{"m":"\ufeff{\"token\":[\"a\", 1]}"}`, `{"m":"\ufeff{\"token\":` + value(t, `["a", 1]`) + `}"}`, []string{"/m/token"}},
		{"application/json", "{\"m\":\"\u00a0{\\\"token\\\"=>\\\"CaNaRy-7f3k\\\"}\"}", "{\"m\":\"\u00a0{\\\"token\\\"=>\\\"" + h + "\\\"}\"}", []string{"/m/token"}},
		{"application/json", `{"m":"don't trust the \"token\" or 'password' of //h/x, it's: a"}`, `{"m":"don't trust the \"token\" or 'password' of //h/x, it's: a"}`, nil},
		{"application/json", `{"m":"see //u:p@h/ and a//b@c"}`, `{"m":"see //` + value(t, "u:p") + `@h/ and a//b@c"}`, []string{"/m"}},
		{"", `{"password":"CaNaRy-7f3k"}`, `{"password":"` + h + `"}`, []string{"/password"}},
		{"text/plain", `["a",{"password":"CaNaRy-7f3k"}]`, `["a",{"password":"` + h + `"}]`, []string{"/1/password"}},
		{"image/png", `{"password":"CaNaRy-7f3k"}`, `{"password":"` + h + `"}`, []string{"/password"}},
		{"application/x-www-form-urlencoded", `{"password":"CaNaRy-7f3k"}`, `{"password":"` + h + `"}`, []string{"/password"}},

		{"application/x-www-form-urlencoded", `user=a%20b+c&p%61ssword=CaNaRy%2D7f3k&x=%zz`, `user=a%20b+c&p%61ssword=` + h + `&x=%zz`, []string{"/password"}},
		{"application/x-www-form-urlencoded", `a[password]=CaNaRy-7f3k&user.password=CaNaRy-7f3k&a%5Btoken%5D%5B%5D=CaNaRy-7f3k`, `a[password]=` + h + `&user.password=` + h + `&a%5Btoken%5D%5B%5D=` + h, []string{"/a[password]", "/user.password", "/a[token][]"}},
		{"application/x-www-form-urlencoded", `payload=%7B%22token%22%3A+%22CaNaRy-7f3k%22%2C%22a%22%3A1%7D`, `payload=%7B%22token%22%3A+%22` + h + `%22%2C%22a%22%3A1%7D`, []string{"/payload/token"}},
		{"application/x-www-form-urlencoded", `a=1;password=x;y&b=2`, `a=1;password=` + value(t, "x;y") + `&b=2`, []string{"/password"}},
		{"application/x-www-form-urlencoded", `grant_type=password&scope=a+b&state=abc==`, `grant_type=password&scope=a+b&state=abc==`, nil},

		{"text/plain", "login\npassword = CaNaRy-7f3k\nok\n", "login\npassword = " + h + "\nok\n", []string{"/password"}},
		{"text/plain", `GET /x?token=CaNaRy-7f3k&a=b HTTP/1.1`, `GET /x?token=` + h + `&a=b HTTP/1.1`, []string{"/token"}},
		{"text/plain", `Your password is wrong, get a token.`, `Your password is wrong, get a token.`, nil},
		{"text/event-stream", "data: {\"token\":\"CaNaRy-7f3k\"}\n\n", "data: {\"token\":\"" + h + "\"}\n\n", []string{"/token"}},
		{"text/yaml", "a: 1\nprivate_key: |\n  CaNaRy-7f3k\n\n  CaNaRy-7f3k\nb: 2\n", "a: 1\nprivate_key: " + value(t, "|\n  CaNaRy-7f3k\n\n  CaNaRy-7f3k") + "\nb: 2\n", []string{"/private_key"}},
		{"text/html", `<a href="/x?token=CaNaRy-7f3k">the token</a>`, `<a href="/x?token=` + h + `">the token</a>`, []string{"/a/href/token"}},
		{"application/javascript", "var p = {apiKey: 'CaNaRy-7f3k', x: 1}", "var p = {apiKey: '" + h + "', x: 1}", []string{"/apiKey"}},
		{"application/xml", `<server name="a" admin-pass="CaNaRy-7f3k"/>`, `<server name="a" admin-pass="` + h + `"/>`, []string{"/server/admin-pass"}},
		{"text/csv", "id,name\n1,token_ring\n", "id,name\n1,token_ring\n", nil},
	} {
		res := bodyOf(t, test.contentType, test.in, false)
		if got := string(res.Content); got != test.want || res.State != record.BodyComplete {
			t.Errorf("%s %q\n got %q (%s %s)\nwant %q", test.contentType, test.in, got, res.State, res.Reason, test.want)
			continue
		}
		for i := range test.places {
			if test.places[i] != "" {
				test.places[i] = ":" + test.places[i]
			}
			test.places[i] = "request_body" + test.places[i]
		}
		if diff := cmp.Diff(test.places, res.Redacted); diff != "" {
			t.Errorf("%s: places (-want +got):\n%s", test.in, diff)
		}
		if res.Changed != (test.in != test.want) {
			t.Errorf("%s: Changed is %t", test.in, res.Changed)
		}
	}
}

func TestBodyWithholdsWhatItCannotRead(t *testing.T) {
	deep := strings.Repeat("[", redact.MaxDepth+1) + strings.Repeat("]", redact.MaxDepth+1)
	for _, test := range []struct{ contentType, in, reason string }{
		{"application/json", `{"password":"x"`, record.ReasonUnparsable},
		{"application/json", `{'password':'x'}`, record.ReasonUnparsable},
		{"application/json", ")]}'\n{\"a\":1}", record.ReasonUnparsable},
		{"application/json", "{\"a\":\"\xff\"}", record.ReasonUnparsable},
		{"application/json", "\xff\xfe{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", record.ReasonUnparsable},
		{"application/json", deep, record.ReasonUnparsable},
		{"application/json; charset=utf-16", "{\x00}\x00", record.ReasonUnparsable},
		{"text/csv", "name,password\nada,x\n", record.ReasonUnparsable},
		{"text/csv", "name,user password\nada,x\n", record.ReasonUnparsable},
		{"text/plain", "| user | password |\n| ada | x |\n", record.ReasonUnparsable},
		{"text/plain", "USER   PASSWORD   ROLE\nada    x          admin\n", record.ReasonUnparsable},
		{"text/plain", "--x\r\nContent-Disposition: form-data; name=password\r\n\r\nx\r\n--x--", record.ReasonUnparsable},
		{"text/plain", "a\x00b", record.ReasonType},
		{"text/plain; charset=latin1", "caf\xe9", record.ReasonType},
		{"", "\x7fELF\xff\x00", record.ReasonType},
		{"application/octet-stream", "text", record.ReasonType},
		{"application/grpc", "\x00\x00\x00\x00\x02\x08\x01", record.ReasonType},
		{"application/protobuf", "abc", record.ReasonType},
	} {
		res := bodyOf(t, test.contentType, test.in, false)
		if res.State != record.BodyWithheld || res.Reason != test.reason {
			t.Errorf("%s %q: %s %q %q, want withheld for %s", test.contentType, test.in, res.State, res.Reason, res.Content, test.reason)
		}
	}
}

func TestBodyKeepsPicturesAsTheyAre(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n\x00\x00password=x"
	if res := bodyOf(t, "image/png", png, false); res.State != record.BodyBinary || string(res.Content) != png || res.Changed {
		t.Errorf("%+v", res)
	}
	if res := bodyOf(t, "image/png", png[:12], true); res.State != record.BodyTruncated || string(res.Content) != png[:12] || res.Changed {
		t.Errorf("cut: %+v", res)
	}
}

func TestBodyOfNothing(t *testing.T) {
	if res := bodyOf(t, "application/json", "", false); res.State != record.BodyNone || res.Changed {
		t.Errorf("%+v", res)
	}
	if res := bodyOf(t, "application/json", "", true); res.State != record.BodyTruncated || res.Changed {
		t.Errorf("cut: %+v", res)
	}
}

func TestBodyOfOneKindSharesItsContent(t *testing.T) {
	in := []byte(`{"a":1}`)
	res := newRedactor(t).Body(redact.Body{ContentType: "application/json", Content: in})
	if &res.Content[0] != &in[0] {
		t.Error("a body without secrets was copied")
	}
}

func TestBodyNamesSoManyPlacesAndNoMore(t *testing.T) {
	doc := "[" + strings.Repeat(`{"token":"x"},`, 3*redact.MaxPlaces) + `{"token":"x"}]`
	res := bodyOf(t, "application/json", doc, false)
	if n := len(res.Redacted); n != redact.MaxPlaces+1 || res.Redacted[n-1] != "request_body" {
		t.Errorf("%d places, the last %q", n, res.Redacted[n-1])
	}
	if bytes.Contains(res.Content, []byte(`"x"`)) {
		t.Error("a secret beyond the places named was kept")
	}
	long := `{"` + strings.Repeat("a", redact.MaxPlace) + `":{"token":"x"}}`
	if res := bodyOf(t, "application/json", long, false); !cmp.Equal(res.Redacted, []string{"request_body"}) {
		t.Errorf("long place: %q", res.Redacted)
	}
}
