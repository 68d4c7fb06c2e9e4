package redact_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

const (
	// token is a JWT, whose parts stand for the canary; its last part is one.
	token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.CaNaRy-7f3k"
	block = "-----BEGIN RSA PRIVATE KEY-----\nMIIECaNaRy-7f3k\nMIIECaNaRy-7f3k==\n-----END RSA PRIVATE KEY-----"
	basic = "Q2FOYVJ5OkNhTmFSeQ==" // CaNaRy:CaNaRy
)

// inStrings are texts with a secret, as they may stand in a string of JSON, a
// field of a form, a header or an element.
var inStrings = []string{
	token, "see " + token + ", please", "https://h/" + token + "/x", "(" + token + ")", "jwt:" + token, token + ".CaNaRy-7f3k.CaNaRy-7f3k", "eyJhbGciOiJub25lIn0..CaNaRy-7f3k",
	block, "key " + block + " end", strings.ReplaceAll(block, "\n", `\n`), strings.ReplaceAll(block, "RSA ", ""), strings.ReplaceAll(block, "RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
	"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nCaNaRy-7f3k\n---- END SSH2 ENCRYPTED PRIVATE KEY ----", strings.ReplaceAll(block, "\n", " "), "-----BEGIN PRIVATE KEY-----\nCaNaRy-7f3k",
	"mysql --password CaNaRy-7f3k db", "mysql --password=CaNaRy-7f3k db", "x --db-password 'CaNaRy-7f3k' y", "--token CaNaRy-7f3k", "java -storepass x -keypassword CaNaRy-7f3k",
	"Bearer CaNaRy-7f3k", "got Bearer CaNaRy-7f3k.", "authorization: bearer CaNaRy-7f3k", "curl -H Authorization:Bearer CaNaRy-7f3k", "Basic " + basic, "sent basic " + basic + " and",
	"password: CaNaRy-7f3k", "password: one CaNaRy-7f3k", "a: 1\npassword: CaNaRy-7f3k\nb: 2", "a: 1\nprivate_key: |\n  CaNaRy-7f3k\n\n  CaNaRy-7f3k\nb: 2", "users:\n  - name: a\n    password: CaNaRy-7f3k\n",
	"[db]\nuser = a\npassword = CaNaRy-7f3k\n", "A=1\nDB_PASSWORD=CaNaRy-7f3k\nexport API_KEY=CaNaRy-7f3k\n", "export DB_PASSWORD=\"CaNaRy-7f3k\"", "login failed: db_password: CaNaRy-7f3k", "password = CaNaRy-7f3k",
	`http:\/\/u:CaNaRy-7f3k@h`, "http://u:CaNaRy-7f3k@h", "mysql://u:CaNaRy-7f3k@h/db", "host=h user=u password=CaNaRy-7f3k dbname=d", "Server=h;User Id=sa;Password=one CaNaRy-7f3k;Encrypt=no", "amqp://:CaNaRy-7f3k@h",
	"https://h/b?X-Amz-Credential=AK/2026&X-Amz-Signature=CaNaRy-7f3k&X-Amz-Expires=5", "https://h/c?sv=2026&sig=CaNaRy-7f3k", "https://h/v1/a?temp_url_sig=CaNaRy-7f3k&temp_url_expires=1",
	`failed: {"password": "CaNaRy-7f3k"}`, `failed: {'a': 1, 'password': 'CaNaRy-7f3k'}`, `{"name":"DB_PASSWORD","value":"CaNaRy-7f3k"}`, `["--password","CaNaRy-7f3k"]`,
	"- name: DB_PASSWORD\n  value: CaNaRy-7f3k\n", "env:\n- name: A\n  value: b\n- name: 'API_KEY'\n  value: |\n    CaNaRy-7f3k\n    CaNaRy-7f3k\n- name: C\n  value: d\n", `[{name: "password", value: "CaNaRy-7f3k"}]`,
	`mutation { login(user: "x", password: "CaNaRy-7f3k") { id } }`, `{ login(password: "CaNaRy-7f3k") }`, "word {User:x Password:CaNaRy-7f3k}", "word {Password:CaNaRy-7f3k}", "{User:x Password:CaNaRy-7f3k N:1}",
	"p%2561ssword=CaNaRy-7f3k", "see /x/token=CaNaRy-7f3k/y", `params {:user=>"x", :password=>"CaNaRy-7f3k"}`,
	"<password>CaNaRy-7f3k</password>", `got <user password="CaNaRy-7f3k"/> there`, "<key>password</key><string>CaNaRy-7f3k</string>", "sent <a:password>CaNaRy-7f3k</a:password>", "&lt;password&gt;CaNaRy-7f3k&lt;/password&gt;",
}

// wholes are bodies with secrets, by their kind.
var wholes = map[string][]string{
	"application/json": {
		`{"name":"password","value":"CaNaRy-7f3k"}`, `{"value":"CaNaRy-7f3k","name":"password"}`, `{"env":[{"name":"A","value":"b"},{"name":"DB_PASSWORD","value":"CaNaRy-7f3k"}]}`,
		`[{"Value":"CaNaRy-7f3k","Type":1,"Name":"Authorization"}]`, `{"ParameterKey":"DBPassword","ParameterValue":"CaNaRy-7f3k"}`, `[{"op":"add","path":"/server/adminPass","value":"CaNaRy-7f3k"}]`,
		`{"name":"pass\u0077ord","value":"CaNaRy-7f3k"}`, `{"args":["run","--password","CaNaRy-7f3k","-v"]}`, `{"command":["--token","CaNaRy-7f3k"]}`, `{"a":{"value":"CaNaRy-7f3k","b":{"c":[1,2]},"key":"secret"}}`, `{"` + token + `":1}`,
	},
	"application/xml": {
		"<?xml version=\"1.0\"?>\n<user><name>ada</name><password>CaNaRy-7f3k</password></user>", "<u xmlns:s='urn:x'><s:Password Type='t'>CaNaRy-7f3k</s:Password></u>", `<user name="a" password="CaNaRy-7f3k"/>`, `<user password='CaNaRy-7f3k'></user>`,
		"<password><![CDATA[CaNaRy-7f3k]]></password>", "<a><![CDATA[<password>CaNaRy-7f3k</password>]]></a>", "<password><a>CaNaRy-7f3k</a><b x='CaNaRy-7f3k'/></password>", "<a b='&lt;password&gt;CaNaRy-7f3k&lt;/password&gt;'/>",
		`<entry key="db.password" value="CaNaRy-7f3k"/>`, `<entry value="CaNaRy-7f3k" key="password"/>`, `<entry key="password">CaNaRy-7f3k</entry>`, "<e><name>password</name><value>CaNaRy-7f3k</value></e>", "<e>\n<value>CaNaRy-7f3k</value>\n<name>password</name>\n</e>",
		"<plist><dict><key>user</key><string>a</string><key>password</key> <string>CaNaRy-7f3k</string></dict></plist>", "<dict><key>password</key><!-- x --><data>\nCaNaRy-7f3k\n</data></dict>", "<a>password=CaNaRy-7f3k</a>", "<!-- password=CaNaRy-7f3k --><a/>",
		"<a>https://u:CaNaRy-7f3k@h/?a=b&amp;c=d</a>", "<a href=\"/x?a=b&amp;token=CaNaRy-7f3k\"/>", "<a>{\"password\":\"CaNaRy-7f3k\"}</a>", "<a>{&quot;password&quot;:&quot;CaNaRy-7f3k&quot;}</a>", "<a>p&#97;ssword: CaNaRy-7f3k</a>", "<password>a&CaNaRy-7f3k;b</password>",
		"<token>a<token>b</token>CaNaRy-7f3k</token>", "<password\n>CaNaRy-7f3k</password\n>", "<setting name='ApiKey'><value>CaNaRy-7f3k</value></setting>", "<password>CaNaRy-7f3k<!-- </password> -->CaNaRy-7f3k</password>", "<u pass\n=\n'CaNaRy-7f3k'/>", "<n>key=" + block + "</n>",
	},
	"text/xml": {"<dict><key>token</key><string>CaNaRy-7f3k</string></dict>"},
	"text/html": {
		`<html><script>var token = "ab &#34;\&amp;;CaNaRy-7f3k";</script></html>`,
		`<input type="password" name="p" value="CaNaRy-7f3k"><p>x</p>`, "<input type=hidden name=token value=CaNaRy-7f3k>", `<meta name="csrf-token" content="CaNaRy-7f3k">`, "<tr><th>Password</th><td>CaNaRy-7f3k</td></tr>", "<dl><dt>Password:<dd>CaNaRy-7f3k</dl>",
		"<b>Password</b>: CaNaRy-7f3k", "<p>Password: <code>CaNaRy-7f3k</code>", "<script>if (a<b) { var p = {apiKey: 'CaNaRy-7f3k'} }</script>", "<textarea name=secret>CaNaRy-7f3k</textarea>", "<label>API key:</label> <kbd>CaNaRy-7f3k</kbd>",
	},
	"application/x-yaml": {"note: x\npassword: CaNaRy-7f3k\n"},
	"text/plain": {
		"x\n\x1b[1mpassword\x1b[0m: CaNaRy-7f3k\n", "\x1b[1;31mtoken\x1b[0m=CaNaRy-7f3k\n",
		"INFO mysql --password CaNaRy-7f3k\n", "GET /x HTTP/1.1\nX-A: Bearer CaNaRy-7f3k\n", "<user><password>CaNaRy-7f3k</password></user>", `url http:\/\/u:CaNaRy-7f3k@h`, "a\n" + block + "\nb\n", "jwt " + token + "\n", "a: |\n  " + strings.ReplaceAll(block, "\n", "\n  ") + "\n",
	},
	"application/x-www-form-urlencoded": {
		"a=1&msg=failed {\"password\":\"CaNaRy-7f3k\"}", "msg=" + url.QueryEscape(`failed {"password":"CaNaRy-7f3k", "a": "b=c&d"}`), "a=" + token + "&b=1", token + "=1", "key=" + url.QueryEscape(block), "x=Bearer+CaNaRy-7f3k", "x=Bearer CaNaRy-7f3k", "xml=" + url.QueryEscape("<password>CaNaRy-7f3k</password>"),
		"a=1;password=abc%26CaNaRy-7f3k", "a=%20;b=2;password=abc%26CaNaRy-7f3k", "a=1?token=abc%26CaNaRy-7f3k&b=2", "p%2561ssword=CaNaRy-7f3k", "p%252561ssword=abc%26CaNaRy-7f3k",
		"yaml=" + url.QueryEscape("a: 1\npassword: one CaNaRy-7f3k\n"),
	},
}

// bodies are all of these, those of strings in every kind of body.
func bodies(yield func(contentType, content string) bool) {
	for contentType, list := range wholes {
		for _, content := range list {
			if !yield(contentType, content) {
				return
			}
		}
	}
	for _, text := range inStrings {
		quoted, _ := json.Marshal(text)
		twice, _ := json.Marshal(`{"x":` + string(quoted) + `}`)
		escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;").Replace(text)
		for _, b := range [][2]string{
			{"application/json", `{"a":` + string(quoted) + `,"b":[1,"c"]}`},
			{"application/json", `{"a":` + string(twice) + `}`},
			{"application/x-www-form-urlencoded", "a=1&b=" + url.QueryEscape(text) + "&c=2"},
			{"application/xml", "<a><b>" + escaped + "</b></a>"},
			{"application/xml", `<a b="` + escaped + `"/>`},
		} {
			if !yield(b[0], b[1]) {
				return
			}
		}
	}
}

// redactors are one of each mode.
func redactors(t testing.TB) (list []*redact.Redactor) {
	t.Helper()
	for _, mode := range []redact.Mode{redact.HMAC, redact.Mask, redact.Drop} {
		r, err := redact.New(redact.Options{Key: key('k'), Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// bare returns text without percent-coding and references, so that leaks sees it.
func bare(text string) string {
	plain, err := url.PathUnescape(text)
	if err != nil {
		plain = text
	}
	return text + "\n" + plain + "\n" + strings.ReplaceAll(plain, basic[:12], canary)
}

func TestNoSecretSurvivesAnywhere(t *testing.T) {
	for _, r := range redactors(t) {
		for contentType, content := range bodies {
			res := bodyIn(t, r, redact.Call{}, contentType, content, false)
			if piece := leaks(bare(string(res.Content))); piece != "" || res.State != record.BodyComplete || len(res.Redacted) == 0 {
				t.Errorf("%s %q\nkept %q in %q (%s %s) %q", contentType, content, piece, res.Content, res.State, res.Reason, res.Redacted)
			}
			if json.Valid([]byte(content)) && !json.Valid(res.Content) {
				t.Errorf("%s\nis no JSON any more: %s", content, res.Content)
			}
		}
	}
}

func TestWholeValuesBeforeTheirNamesAreHidden(t *testing.T) {
	// Not where the text is cut between the two: most lists called value are
	// just that, and would go.
	for _, doc := range []string{`{"value":{"a":["CaNaRy-7f3k"]},"x":1,"key":"api_key"}`, `[{"op":"add","value":["CaNaRy-7f3k"],"path":"/token/x"}]`} {
		if res := bodyOf(t, "application/json", doc, false); leaks(string(res.Content)) != "" || !json.Valid(res.Content) {
			t.Errorf("%s became %s", doc, res.Content)
		}
	}
}

func TestNoSecretSurvivesACutAnywhere(t *testing.T) {
	for _, r := range redactors(t)[:2] {
		for contentType, content := range bodies {
			for cut := range len(content) {
				res := bodyIn(t, r, redact.Call{}, contentType, content[:cut], true)
				if piece := leaks(bare(string(res.Content))); piece != "" {
					t.Errorf("%s %q\nkept %q in %q", contentType, content[:cut], piece, res.Content)
					break
				}
			}
		}
	}
}

func TestNoSecretSurvivesInAHeader(t *testing.T) {
	for _, text := range inStrings {
		for _, name := range []string{"Referer", "X-Detail", "Destination"} {
			if strings.Contains(text, "\n") {
				text = url.QueryEscape(text)
			}
			h := record.Headers{{Name: name, Value: text}, {Name: name, Value: url.QueryEscape(text)}}
			newRedactor(t).Headers(h, "request_headers", nil)
			uri, _ := newRedactor(t).URL("/x/"+url.PathEscape(text)+"?q="+url.QueryEscape(text), "uri", nil)
			for _, got := range []string{h[0].Value, h[1].Value, uri} {
				if piece := leaks(bare(got)); piece != "" {
					t.Errorf("%s: %q kept %q in %q", name, text, piece, got)
				}
			}
		}
	}
}

func TestHeadersHoldNoProse(t *testing.T) {
	for _, text := range []string{"x password: CaNaRy-7f3k", `see {"note":"x","password":"CaNaRy-7f3k"}`, `see {"note":"x","password":"CaNaRy\"7f3k"}`, "x {User:x Password:CaNaRy-7f3k}", "the token: CaNaRy-7f3k"} {
		h := record.Headers{{Name: "X-Debug", Value: text}, {Name: "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key", Value: canary}}
		newRedactor(t).Headers(h, "request_headers", nil)
		if leaks(h[0].Value) != "" || leaks(h[1].Value) != "" {
			t.Errorf("%q", h)
		}
	}
}

func TestSecretsOfURLsSurviveNoCoding(t *testing.T) {
	r := newRules(t, redact.Options{Paths: []string{"/reset/:secret", "/a/:secret/b"}})
	for _, in := range []string{
		"/reset/a%2FCaNaRy-7f3k", "/reset/x/%2e%2E/CaNaRy-7f3k", "/reset/%2e/CaNaRy-7f3k", "/x%2F..%2freset//CaNaRy-7f3k", "/reset%2FCaNaRy-7f3k", "/a/x%2fCaNaRy-7f3k/b?c=d", "https://h/reset/a%2FCaNaRy-7f3k", "/x?a=1;token=abc%26CaNaRy-7f3k", "/x?a=1?token=abc%26CaNaRy-7f3k", "/x?a=%20;b=1;token=abc%26CaNaRy-7f3k",
		"/x?p%2561ssword=CaNaRy-7f3k", "/x/token=CaNaRy-7f3k/y", "/x/token=ab%26CaNaRy-7f3k", "/x/p%61ssword=CaNaRy-7f3k?a=b",
	} {
		for cut := range len(in) + 1 {
			got, _ := r.URL(redact.Cut(in, cut), "uri", nil)
			if piece := leaks(bare(got)); piece != "" {
				t.Errorf("%q, cut at %d, kept %q in %q", in, cut, piece, got)
				break
			}
		}
		once, _ := r.URL(in, "uri", nil)
		if twice, _ := r.URL(once, "uri", nil); twice != once {
			t.Errorf("%q became %q and then %q", in, once, twice)
		}
	}
}

func TestWhatIsNotSecretStays(t *testing.T) {
	certificate := strings.ReplaceAll(block, "RSA PRIVATE KEY", "CERTIFICATE")
	for contentType, list := range map[string][]string{
		"application/json": {
			`{"name":"user","value":"x"}`, `{"name":"password"}`, `{"value":1,"unit":"s"}`, `{"key":"a","value":{"b":1}}`, `["--verbose","x"]`, `[[-1,{"a[secret]":null}],"x"]`, `{"a":"401: Bearer token expired, see Basic usage of <token> and --help"}`,
			`{"a":"Bearer realm=\"x\", error=\"invalid_token\""}`, `{"a":"invalid token: expired; wrong password: too short"}`, `{"a":"eyJ and eyJhbGciOi... and BEGIN PRIVATE things"}`, `{"n":4111111111111111,"card":"4111 1111 1111 1111"}`,
			`{"pem":` + string(must(json.Marshal(certificate))) + `}`, `{"a":"bad token: \"x\" (token: expired); urn:x:token:y {a:b} 10:00"}`, `{"a":"- name: user\n  value: x\n"}`, `{"a":"a < b and c > d <br> <no tag"}`, `{"pem":"-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n"}`, `{"a":"\ud800 \u00e9\/ http:\/\/h\/p"}`,
		},
		"application/xml": {
			"<?xml version='1.0'?><a><type>token</type><id>5</id><b c='d'>e &amp; f &lt;</b><![CDATA[<x>]]></a>", "<e><name>user</name><value>x</value></e>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a><b>1</b><b/><c>the token is old</c></a>", "<a/></b>", "a < b",
		},
		"text/html":  {"<!doctype html><html><body><h1>Password</h1><p>It has expired.<br><a href='/x?a=b'>Forgot your password</a> <a>Home</a></body></html>", "<p>a<p>b<ul><li>c<li>d</ul><script>a<b</script>"},
		"text/plain": {"a -p x and - token y\n--- a/token\n+++ b/token\n", certificate, "1 < 2\n", "Basic usage\nBearer of news\n"},
		"application/x-www-form-urlencoded": {
			"a=b&c=d+e%20f&g=%zz", "msg=the+token+is+old", "x=Basic+usage&y=<b>", "a={}", "a=b=c;d",
		},
	} {
		for _, r := range redactors(t) {
			for _, in := range list {
				if res := bodyIn(t, r, redact.Call{}, contentType, in, false); string(res.Content) != in || res.Changed {
					t.Errorf("%s %q became %q (%s %s)", contentType, in, res.Content, res.State, res.Reason)
				}
			}
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
