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

func TestQueryKeepsWhatIsNotSecret(t *testing.T) {
	h, x := value(t, canary), value(t, "x")
	for _, test := range []struct{ in, want, place string }{
		{"", "", ""},
		{"a", "a", ""},
		{"a=1&&b=%20+%zz&=&c", "a=1&&b=%20+%zz&=&c", ""},
		{"marker=abc==&limit=10", "marker=abc==&limit=10", ""},
		{"token=CaNaRy-7f3k", "token=" + h, "query:token"},
		{"a=1&X%2DAuth%2DToken=CaNaRy-7f3k&b", "a=1&X%2DAuth%2DToken=" + h + "&b", "query:X-Auth-Token"},
		{"PASSWORD=CaNaRy%2d7f3k", "PASSWORD=" + h, "query:PASSWORD"},
		{"pass+word=CaNaRy-7f3k", "pass+word=" + h, "query:pass word"},
		{"token=", "token=", ""},
		{"token=" + h, "token=" + h, ""},
		{"token=" + h + "x", "token=" + value(t, h+"x"), "query:token"},
		{"%7=x", "%7=" + x, "query:%7"},
		{"a=b;token=x", "a=b;token=" + x, "query:token"},
		{"a=b=token=x", "a=b=token=" + x, "query:token"},
		{`filter={"token":"x"}&a=b`, `filter={"token":"` + x + `"}&a=b`, "query:filter/token"},
		{`{"token":"x"}`, `{"token":"` + x + `"}`, "query:token"},
		{`%7B%22token%22%3A%22x%22%7D`, `%7B%22token%22%3A%22` + x + `%22%7D`, "query:token"},
		{"to=https://h/%3Ftoken=x", "to=https://h/%3Ftoken=" + x, "query:to/token"},
		{"to=https%3A%2F%2Fu%3Ap%40h%2F", "to=https%3A%2F%2F" + value(t, "u:p") + "%40h%2F", "query:to"},
		{"token%3Dx", "token%3D" + x, "query:token"},
		{"%74oken%253Dx", "%74oken%253D" + x, "query:token"},
	} {
		got, places := newRedactor(t).Query(test.in, []string{"before"})
		want := []string{"before"}
		if test.place != "" {
			want = append(want, test.place)
		}
		if got != test.want || !cmp.Equal(places, want) {
			t.Errorf("%s\n got %s at %q\nwant %s at %q", test.in, got, places, test.want, want)
		}
		if again, _ := newRedactor(t).Query(got, nil); again != got {
			t.Errorf("%s became %s and then %s", test.in, got, again)
		}
	}
}

func TestURLLosesUserInformationQueryAndFragment(t *testing.T) {
	h := value(t, canary)
	for _, test := range []struct{ in, want, place string }{
		{"/v2.1/servers?limit=1", "/v2.1/servers?limit=1", ""},
		{"/a%20b+c", "/a%20b+c", ""},
		{"/x?token=CaNaRy-7f3k&a=b#c", "/x?token=" + h + "&a=b#c", "upstream_uri:token"},
		{"https://ada:CaNaRy@h:1/x", "https://" + value(t, "ada:CaNaRy") + "@h:1/x", "upstream_uri"},
		{"https://CaNaRy-7f3k@h", "https://" + h + "@h", "upstream_uri"},
		{"/cb#a=b&access_token=CaNaRy-7f3k", "/cb#a=b&access_token=" + h, "upstream_uri:access_token"},
		{"https://h/x@y?mail=a@b", "https://h/x@y?mail=a@b", ""},
		{"https://ada:a=&b@h/?c", "https://" + value(t, "ada:a=&b") + "@h/?c", "upstream_uri"},
		{"/x?to=https://ada:a=@h@/y&c=d", "/x?to=https://" + value(t, "ada:a=@h") + "@/y&c=d", "upstream_uri"},
		{"/x?to=https://h:80&mail=a@b", "/x?to=https://h:80&mail=a@b", ""},
		{"//ada:CaNaRy@h/x", "//" + value(t, "ada:CaNaRy") + "@h/x", "upstream_uri"},
		{"//ada:a=&b@h/?c", "//" + value(t, "ada:a=&b") + "@h/?c", "upstream_uri"},
		{"/x?to=//ada:CaNaRy@h/", "/x?to=//" + value(t, "ada:CaNaRy") + "@h/", "upstream_uri"},
		{"/a//b@c", "/a//b@c", ""},
		{"https://h/?token=CaNaRy-7f3k&to=http://h@x/", "https://h/?token=" + h + "&to=http://" + value(t, "h") + "@x/", "upstream_uri:token,upstream_uri"},
	} {
		got, places := newRedactor(t).URL(test.in, "upstream_uri", nil)
		var want []string
		if test.place != "" {
			want = strings.Split(test.place, ",")
		}
		if got != test.want || !cmp.Equal(places, want) {
			t.Errorf("%s\n got %s at %q\nwant %s at %q", test.in, got, places, test.want, want)
		}
	}
}

func TestHeadersLoseSecrets(t *testing.T) {
	h := value(t, canary)
	for _, test := range []struct{ name, in, want, place string }{
		{"Authorization", "Bearer CaNaRy-7f3k", h, "Authorization"},
		{"authorization", "Basic  CaNaRy-7f3k", h, "authorization"},
		{"Authorization", "CaNaRy-7f3k", h, "Authorization"},
		{"Proxy-Authorization", "Basic CaNaRy-7f3k", h, "Proxy-Authorization"},
		{"Cookie", "a=b; c=d", value(t, "a=b; c=d"), "Cookie"},
		{"Set-Cookie", "CaNaRy-7f3k", h, "Set-Cookie"},
		{"X-Auth-Token", "CaNaRy-7f3k", h, "X-Auth-Token"},
		{"x-subject-token", "CaNaRy-7f3k", h, "x-subject-token"},
		{"X-Service-Token", "CaNaRy-7f3k", h, "X-Service-Token"},
		{"X-Api-Key", "CaNaRy-7f3k", h, "X-Api-Key"},
		{"X_API_KEY", "CaNaRy-7f3k", h, "X_API_KEY"},
		{"Private-Token", "CaNaRy-7f3k", h, "Private-Token"},
		{"X-Vault-Token", "CaNaRy-7f3k", h, "X-Vault-Token"},
		{"X-Forwarded-Authorization", "Bearer CaNaRy-7f3k", h, "X-Forwarded-Authorization"},
		{"X-Auth-Token", "", "", ""},
		{"Referer", "https://h/p?a=b&token=CaNaRy-7f3k", "https://h/p?a=b&token=" + h, "Referer/token"},
		{"Location", "/cb#access_token=CaNaRy-7f3k&x=y", "/cb#access_token=" + h + "&x=y", "Location/access_token"},
		{"Content-Location", "https://ada:CaNaRy@h/", "https://" + value(t, "ada:CaNaRy") + "@h/", "Content-Location"},
		{"Refresh", "5; url=/x?token=CaNaRy-7f3k", "5; url=/x?token=" + h, "Refresh/token"},
		{"X-Original-Uri", "/x?p%61ssword=CaNaRy%2D7f3k", "/x?p%61ssword=" + h, "X-Original-Uri/password"},
		{"X-Arg", `{"token":"CaNaRy-7f3k","a":1}`, `{"token":"` + h + `","a":1}`, "X-Arg/token"},
		{"Location", "//ada:CaNaRy@h/", "//" + value(t, "ada:CaNaRy") + "@h/", "Location"},
		{"Authorization", "CaNaRy-7f3k " + h, value(t, h), "Authorization"},
		{"X-Password1", "CaNaRy-7f3k", h, "X-Password1"},
		{"Link", `</v3/x?marker=1>; rel="next"`, `</v3/x?marker=1>; rel="next"`, ""},
		{"Etag", `W/"abc"`, `W/"abc"`, ""},
		{"Accept", "application/problem+json;q=0.5, */*", "application/problem+json;q=0.5, */*", ""},
		{"Www-Authenticate", `Basic realm="a b", charset="UTF-8"`, `Basic realm="a b", charset="UTF-8"`, ""},
		{"Content-Disposition", `attachment; filename="100%.txt"`, `attachment; filename="100%.txt"`, ""},
		{"Sec-Websocket-Key", "x", "x", ""},
	} {
		in := record.Headers{{Name: "A", Value: "1"}, {Name: test.name, Value: test.in}}
		var want []string
		if test.place != "" {
			want = append(want, "request_headers:"+test.place)
		}
		for range 2 {
			places := newRedactor(t).Headers(in, "request_headers", nil)
			if in[1].Value != test.want || !cmp.Equal(places, want) {
				t.Errorf("%s: %s\n got %s at %q\nwant %s at %q", test.name, test.in, in[1].Value, places, test.want, want)
			}
			want = nil // the second time nothing is found
		}
	}
}

func TestHeadersOfOneNameAreOnePlace(t *testing.T) {
	h := record.Headers{{Name: "Set-Cookie", Value: "a"}, {Name: "Set-Cookie", Value: "b"}, {Name: "X", Value: "c"}}
	if got := newRedactor(t).Headers(h, "response_headers", nil); !cmp.Equal(got, []string{"response_headers:Set-Cookie"}) {
		t.Errorf("%q", got)
	}
}

func TestNoSecretOfAFormSurvivesACut(t *testing.T) {
	for _, doc := range []string{
		"a=b&password=CaNaRy-7f3k&c=d", "p%61ssword=C%61NaRy-7f3k", "x[token]=CaNaRy-7f3k", "a;token=CaNaRy-7f3k;b", "a=https://CaNaRy-7f3k@h/",
		`data=%7B%22u%22%3A%22http%3A%5C%2F%5C%2Fu%3ACaNaRy-7f3k%40h%5C%2F%22%2C%22b%22%3A1%7D`, `data={"m":"x\u0026token\u003dCaNaRy-7f3k"}%20`, "data=%7B%22a%22%3A%22%C3%A9%5Cu0026token%5Cu003dCaNaRy-7f3k%C3%A9%22%7D",
		"payload=%7B%22a%22%3A1%2C%22token%22%3A%22CaNaRy-7f3k%22%7D", "to=https%3A%2F%2Fh%2F%3Ftoken%3DCaNaRy-7f3k%26a%3Db", "to=https%253A%252F%252FCaNaRy-7f3k%2540h",
	} {
		for cut := range len(doc) + 1 {
			res := bodyOf(t, "application/x-www-form-urlencoded", doc[:cut], cut < len(doc))
			plain, _ := url.QueryUnescape(string(res.Content))
			if piece := leaks(string(res.Content) + plain); piece != "" || res.State == record.BodyWithheld {
				t.Errorf("%s: %s kept %q in %s", doc[:cut], res.State, piece, res.Content)
			}
		}
	}
}

func TestNoSecretOfAFormInAStringSurvivesACut(t *testing.T) {
	doc := `{"m":"a=1&data=%7B%22u%22%3A%22http%3A%5C%2F%5C%2Fu%3ACaNaRy-7f3k%40h%5C%2F%22%2C%22b%22%3A%22%C3%A9%22%7D"}`
	for cut := range len(doc) {
		res := bodyOf(t, "application/json", doc[:cut], true)
		if piece := leaks(string(res.Content)); piece != "" {
			t.Errorf("%s kept %q in %s", doc[:cut], piece, res.Content)
		}
	}
}

func TestFormsOnSeveralLinesLoseSecrets(t *testing.T) {
	for _, in := range []string{
		"a=1&password=one CaNaRy-7f3k\n", "a=1&password=one\nCaNaRy-7f3k", "password=one\nCaNaRy-7f3k&user=x\n", "a=1&password=ab\"CaNaRy-7f3k\n", "password=\"x\"CaNaRy-7f3k\n",
		"password={x}CaNaRy-7f3k\n", "password={x} CaNaRy-7f3k\n", "a=1&pass+word=CaNaRy-7f3k\n", "a=1&p%61ssword=x<CaNaRy-7f3k\r\n", "password%3DCaNaRy-7f3k&a=1\n", "data=%7B%22password%22%3A%22CaNaRy-7f3k%22%7D\n",
		"a: b=1\npassword: CaNaRy-7f3k\n", "a: b=1\npassword: a&CaNaRy-7f3k\nb: c\n", "a=1&b=2\npassword: CaNaRy-7f3k\n", "A=1\nDB_PASSWORD=CaNaRy-7f3k\nB=2\n",
	} {
		for cut := range len(in) + 1 {
			res := bodyOf(t, "application/x-www-form-urlencoded", in[:cut], cut < len(in))
			if piece := leaks(string(res.Content)); piece != "" || res.State == record.BodyWithheld {
				t.Errorf("%q: %s kept %q in %q", in[:cut], res.State, piece, res.Content)
				break
			}
		}
	}
	in, want := "a=1&password=CaNaRy-7f3k\r\n", "a=1&password="+value(t, canary)+"\r\n"
	if res := bodyOf(t, "application/x-www-form-urlencoded", in, false); string(res.Content) != want {
		t.Errorf("%q became %q, want %q", in, res.Content, want)
	}
}

func TestNoSecretSurvivesTheCutOfALine(t *testing.T) {
	for _, whole := range []string{
		"http://u:CaNaRy-7f3k" + strings.Repeat("a", 50) + "@h/", "//u:CaNaRy-7f3k=&;," + strings.Repeat("a", 50) + "@h/", "/x?next=http%3A%2F%2Fu%3ACaNaRy-7f3k" + strings.Repeat("a", 50) + "%40h/",
		"token=CaNaRy-7f3k", `{"a":"b","token":"CaNaRy-7f3k"}`, "http%3A%2F%2Fu:CaNaRy-7f3k%C3%A9@h/", "a (see http://u:CaNaRy-7f3k@h/)",
	} {
		for limit := range len(whole) {
			cut := redact.Cut(whole, limit)
			if want := fmt.Sprintf("%s (cut, %d bytes)", whole[:limit], len(whole)); cut != want {
				t.Fatalf("got %q, want %q", cut, want)
			}
			h := record.Headers{{Name: "Referer", Value: cut}}
			newRedactor(t).Headers(h, "request_headers", nil)
			query, _ := newRedactor(t).Query(cut, nil)
			uri, _ := newRedactor(t).URL(cut, "uri", nil)
			for _, got := range []string{h[0].Value, query, uri} {
				if piece := leaks(got); piece != "" || !strings.HasSuffix(got, " bytes)") {
					t.Errorf("%q kept %q in %q", cut, piece, got)
				}
			}
		}
	}
	for _, s := range []string{"", "é", "http://h/?a=b", "x (cut, many bytes)", "(cut, 5 bytes)"} {
		if got := redact.Cut(s, len(s)); got != s {
			t.Errorf("%q became %q", s, got)
		}
		if got, _ := newRedactor(t).Query(s, nil); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got := redact.Cut("aé", 2); got != "a (cut, 3 bytes)" {
		t.Errorf("got %q", got)
	}
	if got, _ := newRedactor(t).Query("http://h:1/?a=b (cut, token=CaNaRy-7f3k bytes)", nil); leaks(got) != "" {
		t.Errorf("a forged remark hid a secret: %q", got)
	}
}

func TestHostileTextIsReadInLinearTime(t *testing.T) {
	// No time is asserted: were one of these quadratic, the test would run for
	// a minute.
	const size = 32 << 10
	r := newRules(t, redact.Options{Paths: []string{"/reset/:secret"}, Values: []string{"jwt", "pem", "card"}})
	for _, unit := range []string{
		"a=", "=", "&", ";", "%25", "%", "+", "a://", "://@", "password", "password ", "password=", "password:", "password:\n", "password[", `\`, `\"`, `"`, "'", `{"`, "[", `"{`, `["a",`, "\\u0070", "<", "<password", "a.b.", "\n", "\n ", "-----BEGIN", "é", "token:{", "//", "//a", "password\n=\n", "token=[ ", "&token=", "name=token ",
		"<a>", `<a b="`, "<token>", "</a>", "<!--", "<![CDATA[", "<name>token</name>", "<value>x</value>", "<x name=token>", "<a <", "<script>", "&amp;", "--token ", "Bearer ", "Basic a ", "a: ", "token: x\n", ";token=x",
		"eyJ", "eyJ.", "eyJhbGciOiJub25lIn0.", "eyJhbGciOiJub25lIn0..", "-BEGIN PRIVATE KEY-", "-END", `{"value":1,"name":`, `{"value":"x","name":"token"},`, "4111 ", "/reset/",
		"name: token\n", "name: token value: x ", "/token=", "a%3D;token=", "a=%20;", "%2F/", "{token:x ", "\x1b[1m", `(token: "`, `{"value":`, "a%252525",
	} {
		text := strings.Repeat(unit, size/len(unit))
		for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain", "text/html", "application/xml", "text/csv"} {
			for _, cut := range []bool{false, true} {
				r.Body(redact.Body{ContentType: contentType, Content: []byte(text), Truncated: cut, Side: "request_body"})
				r.Body(redact.Body{ContentType: contentType, Content: []byte(`{"a":"` + text), Truncated: cut, Side: "request_body"})
			}
		}
	}
}

func FuzzPairs(f *testing.F) {
	for _, in := range []string{"a=b&password=x;y&c", "a%5btoken%5d=%zz+", `q={"token":"x"}`, "to=https%3A%2F%2Fu%3Ap%40h%3Ftoken%3Dx", "/p?a=b#sig=x", "a=%2525252525"} {
		f.Add(in, 5)
	}
	f.Fuzz(func(t *testing.T, in string, cut int) {
		r := newRedactor(t)
		once, places := r.Query(in, nil)
		if (once != in) != (len(places) > 0) {
			t.Fatalf("%q became %q at %q", in, once, places)
		}
		if twice, _ := r.Query(once, nil); twice != once {
			t.Fatalf("%q became %q and then %q", in, once, twice)
		}
		if len(in) > 0 {
			bodyOf(t, "application/x-www-form-urlencoded", in, cut%2 == 0)
		}
		// What a server reads as a password is gone.
		pairs, _ := url.ParseQuery(in)
		left, _ := url.ParseQuery(once)
		for name, values := range pairs {
			if strings.HasSuffix(name, "password") {
				for i, v := range values {
					if got := left[name]; v != "" && !strings.HasPrefix(v, "hmac:") && i < len(got) && got[i] == v {
						t.Fatalf("%q kept %q", in, v)
					}
				}
			}
		}
	})
}
