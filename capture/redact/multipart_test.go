package redact_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

const formData = "multipart/form-data; boundary=x"

func file(t testing.TB, content string) string { return standIn(t, "file", content) }

func withheld(t testing.TB, content string) string { return standIn(t, "withheld", content) }

// standIn is what stands in the place of content, which is sent by crlf.
func standIn(t testing.TB, word, content string) string {
	content = crlf(content)
	return fmt.Sprintf("<%s %d bytes, hmac-sha256 %s>", word, len(content), newRedactor(t).Digest(sha256.Sum256([]byte(content))))
}

// crlf returns lines as they are sent.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

func TestMultipartIsKeptByItsParts(t *testing.T) {
	h := value(t, canary)
	field := "--x\nContent-Disposition: form-data; name=\"%s\"%s\n\n%s\n"
	for _, test := range []struct {
		contentType, in, want string
		places                []string
	}{
		{formData, fmt.Sprintf(field, "a", "", "1") + fmt.Sprintf(field, "grant_type", "", "password") + "--x--\n", fmt.Sprintf(field, "a", "", "1") + fmt.Sprintf(field, "grant_type", "", "password") + "--x--\n", nil},
		{formData, fmt.Sprintf(field, "user[password]", "", canary) + "--x--", fmt.Sprintf(field, "user[password]", "", h) + "--x--", []string{":/user[password]"}},
		{formData, fmt.Sprintf(field, "p%61ssword", "", canary) + "--x--", fmt.Sprintf(field, "p%61ssword", "", h) + "--x--", []string{":/p%61ssword"}},
		{formData, fmt.Sprintf(field, "j", "\nContent-Type: application/json", `{"a":{"token":"`+canary+`"}}`) + "--x--", fmt.Sprintf(field, "j", "\nContent-Type: application/json", `{"a":{"token":"`+h+`"}}`) + "--x--", []string{":/j/a/token"}},
		{formData, fmt.Sprintf(field, "j", "", `{"a":{"token":"`+canary+`"}}`) + "--x--", fmt.Sprintf(field, "j", "", `{"a":{"token":"`+h+`"}}`) + "--x--", []string{":/j/a/token"}},
		{formData, fmt.Sprintf(field, "u", "\nContent-Type: text/plain; charset=UTF-8", `https://h/?token=`+canary+`&a=b`) + "--x--", fmt.Sprintf(field, "u", "\nContent-Type: text/plain; charset=UTF-8", `https://h/?token=`+h+`&a=b`) + "--x--", []string{":/u/token"}},
		{formData, fmt.Sprintf(field, "f", "\nContent-Type: application/x-www-form-urlencoded", `a=b&password=`+canary) + "--x--", fmt.Sprintf(field, "f", "\nContent-Type: application/x-www-form-urlencoded", `a=b&password=`+h) + "--x--", []string{":/f/password"}},
		{formData, fmt.Sprintf(field, "note", "", "one\npassword: "+canary+"\ntwo") + "--x--", fmt.Sprintf(field, "note", "", "one\npassword: "+h+"\ntwo") + "--x--", []string{":/note/password"}},
		{formData, fmt.Sprintf(field, "x", "\nContent-Type: application/xml", "<a b=\"1\"/>") + "--x--", fmt.Sprintf(field, "x", "\nContent-Type: application/xml", "<a b=\"1\"/>") + "--x--", nil},
		{formData, fmt.Sprintf(field, "x", "\nContent-Type: application/json", "{'password'}") + "--x--", fmt.Sprintf(field, "x", "\nContent-Type: application/json", withheld(t, "{'password'}")) + "--x--", []string{":/x"}},
		{formData, fmt.Sprintf(field, "b", "\nContent-Transfer-Encoding: base64", "Q2FOYVJ5LTdmM2s=") + "--x--", fmt.Sprintf(field, "b", "\nContent-Transfer-Encoding: base64", withheld(t, "Q2FOYVJ5LTdmM2s=")) + "--x--", []string{":/b"}},
		{formData, fmt.Sprintf(field, "b", "\nContent-Transfer-Encoding: 8bit", "a") + "--x--", fmt.Sprintf(field, "b", "\nContent-Transfer-Encoding: 8bit", "a") + "--x--", nil},
		{formData, fmt.Sprintf(field, "c", "\nContent-Type: text/plain; charset=utf-7", "+AHA-assword=x") + "--x--", fmt.Sprintf(field, "c", "\nContent-Type: text/plain; charset=utf-7", withheld(t, "+AHA-assword=x")) + "--x--", []string{":/c"}},
		{formData, fmt.Sprintf(field, "c", "", "caf\xe9") + "--x--", fmt.Sprintf(field, "c", "", withheld(t, "caf\xe9")) + "--x--", []string{":/c"}},
		{formData, fmt.Sprintf(field, "up", "; filename=\"a.txt\"\nContent-Type: text/plain", canary) + "--x--", fmt.Sprintf(field, "up", "; filename=\"a.txt\"\nContent-Type: text/plain", file(t, canary)) + "--x--", []string{":/up"}},
		{formData, fmt.Sprintf(field, "up", "; filename*=UTF-8''a%20b", canary) + "--x--", fmt.Sprintf(field, "up", "; filename*=UTF-8''a%20b", file(t, canary)) + "--x--", []string{":/up"}},
		{formData, fmt.Sprintf(field, "up", "; filename=\"C:\\a.txt\"", "") + "--x--", fmt.Sprintf(field, "up", "; filename=\"C:\\a.txt\"", "") + "--x--", nil},
		{formData, fmt.Sprintf(field, "up", "; filename=\"http://u:CaNaRy-7f3k@h/\"", "") + "--x--", fmt.Sprintf(field, "up", "; filename=\"http://"+value(t, "u:"+canary)+"@h/\"", "") + "--x--", []string{":/up"}},
		{formData, fmt.Sprintf(field, "pic", "\nContent-Type: image/png", "\x89PNG\x00--y") + "--x--", fmt.Sprintf(field, "pic", "\nContent-Type: image/png", file(t, "\x89PNG\x00--y")) + "--x--", []string{":/pic"}},
		{formData, fmt.Sprintf(field, "a", "\nX-Auth-Token:\tCaNaRy-7f3k\nX-Other:y", "1") + "--x--", fmt.Sprintf(field, "a", "\nX-Auth-Token:\t"+h+"\nX-Other:y", "1") + "--x--", []string{":/a"}},
		{formData, fmt.Sprintf(field, "a?token=CaNaRy-7f3k", "", "1") + "--x--", fmt.Sprintf(field, "a?token="+h, "", "1") + "--x--", []string{":/0/token"}},
		{formData, fmt.Sprintf(field, "a", "; name=b", "1") + "--x--", "--x\n" + withheld(t, "Content-Disposition: form-data; name=\"a\"; name=b\n\n1") + "\n--x--", []string{":/0"}},
		{formData, "--x\n\ntext\n--x--", "--x\n\ntext\n--x--", nil},
		{formData, fmt.Sprintf(field, "a", "; token=\"CaNaRy-7f3k\"", "1") + "--x--", fmt.Sprintf(field, "a", "; token=\""+h+"\"", "1") + "--x--", []string{":/a"}},
		{formData, "--x\n--x \t\n\n--x--\n\n", "--x\n--x \t\n\n--x--\n\n", nil},
		{formData, "This is CaNaRy-7f3k\n--x\n\ntext\n--x--\nCaNaRy-7f3k\n", withheld(t, "This is "+canary) + "\n--x\n\ntext\n--x--\n" + withheld(t, canary+"\n"), []string{""}},
		{formData, fmt.Sprintf(field, "password", "", canary), strings.TrimSuffix(fmt.Sprintf(field, "password", "", value(t, canary+"\r\n")), "\n"), []string{":/password"}}, // no last line
		{`Multipart/Form-Data; charset=utf-8; boundary="a b'()+_,-./:=?c"`, "--a b'()+_,-./:=?c\nContent-Disposition: form-data; name=pin\n\nCaNaRy-7f3k\n--a b'()+_,-./:=?c--\n", "--a b'()+_,-./:=?c\nContent-Disposition: form-data; name=pin\n\n" + h + "\n--a b'()+_,-./:=?c--\n", []string{":/pin"}},
		{"multipart/mixed; boundary=x", "--x\nContent-Type: application/json\n\n{\"password\":\"CaNaRy-7f3k\"}\n--x\nContent-Type: application/http\n\nGET / HTTP/1.1\nX-Auth-Token: CaNaRy-7f3k\n\n\n--x--", "--x\nContent-Type: application/json\n\n{\"password\":\"" + h + "\"}\n--x\nContent-Type: application/http\n\n" + withheld(t, "GET / HTTP/1.1\nX-Auth-Token: CaNaRy-7f3k\n\n") + "\n--x--", []string{":/0/password", ":/1"}},
		{formData, fmt.Sprintf(field, "files", "\nContent-Type: multipart/mixed; boundary=y", "--y\nContent-Disposition: file; filename=a\n\nCaNaRy-7f3k\n--y--") + "--x--", fmt.Sprintf(field, "files", "\nContent-Type: multipart/mixed; boundary=y", "--y\nContent-Disposition: file; filename=a\n\n"+file(t, canary)+"\n--y--") + "--x--", []string{":/files/0"}},
		{formData, fmt.Sprintf(field, "files", "\nContent-Type: multipart/mixed; boundary=z", "--y\n\na\n--y--") + "--x--", fmt.Sprintf(field, "files", "\nContent-Type: multipart/mixed; boundary=z", withheld(t, "--y\n\na\n--y--")) + "--x--", []string{":/files"}},
	} {
		in, want := crlf(test.in), crlf(test.want)
		res := bodyOf(t, test.contentType, in, false)
		if got := string(res.Content); got != want || res.State != record.BodyComplete {
			t.Errorf("%s %q\n got %q (%s %s)\nwant %q", test.contentType, in, got, res.State, res.Reason, want)
			continue
		}
		for i := range test.places {
			test.places[i] = "request_body" + test.places[i]
		}
		if diff := cmp.Diff(test.places, res.Redacted); diff != "" {
			t.Errorf("%q: places (-want +got):\n%s", in, diff)
		}
		if res.Changed != (in != want) {
			t.Errorf("%q: Changed is %t", in, res.Changed)
		}
	}
}

func TestMultipartOfLinesThatEndWithLFIsRead(t *testing.T) {
	in := "--x\nContent-Disposition: form-data; name=password\n\nCaNaRy-7f3k\n--x\nA: b\n\n1\r\n2\n--x--\n"
	res := bodyOf(t, formData, in, false)
	if want := strings.ReplaceAll(in, canary, value(t, canary)); string(res.Content) != want {
		t.Errorf("%q (%s), want %q", res.Content, res.Reason, want)
	}
}

// What some receivers read otherwise than others is not kept.
func TestMultipartWithholdsWhatMayBeReadOtherwise(t *testing.T) {
	const part = "Content-Disposition: form-data; name=\"a\"\n\n1"
	for _, test := range []struct{ contentType, in string }{
		{"multipart/form-data", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary=", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary=y", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary=x; boundary=x", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary=\"x", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary=x,", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary=x y", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary*=utf-8''x", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data, a/b; boundary=x", "--x\n" + part + "\n--x--\n"},
		{"multipart/form-data; boundary=" + strings.Repeat("x", 71), "--" + strings.Repeat("x", 71) + "\n" + part},
		{"multipart/form-data; boundary=\"x \"", "--x \n" + part + "\n--x --\n"},
		{"multipart/form-data; boundary=\"x\u00e9\"", "--x\u00e9\n" + part + "\n--x\u00e9--\n"},
		{"multipart/form-data; charset=utf-7; boundary=x", "--x\n" + part + "\n--x--\n"},
		{"multipart/byteranges; boundary=x", "--x\nContent-Type: text/plain\n\n1\n--x--\n"},
		{"multipart/digest; boundary=x", "--x\n\nSubject: a\n\nb\n--x--\n"},
		{formData, `{"password":"x"}`},
		{formData, "a\n-- x\n"},
		{formData, "--x\n" + part + "\n--xy\n" + part + "\n--x--\n"},       // the boundary of another body
		{formData, "--x\n" + part + "\n--x-\n" + part + "\n--x--\n"},       // not quite the last line
		{formData, "--x\n" + part + "\n--x--\n--x\n" + part + "\n--x--\n"}, // more behind the end
		{formData, "--x\n" + part + "\n--x--a\n"},
		{formData, "--x\n" + part + "\r--x--\n"},
		{formData, "--x\n--x\n" + part + "\n\r--x--\n"},
		{formData, "--x\n" + part + "\n--x\rb\n--x--\n"},
		{formData, "--x\nContent-Disposition: form-data; name=\"_charset_\"\n\nutf-7\n--x--"},
	} {
		for _, in := range []string{test.in, crlf(test.in)} {
			res := bodyOf(t, test.contentType, in, false)
			if res.State != record.BodyWithheld || res.Reason != record.ReasonUnparsable {
				t.Errorf("%s %q: %s %q %q", test.contentType, in, res.State, res.Reason, res.Content)
			}
		}
	}
	for _, in := range []string{"--x\r\n\r\na\n--x\r\n\r\nb\r\n--x--", "--x\n\na\r\n--x\n\nb\n--x--", "--x\r\n\r\na\r\n--x\n\r\nb\r\n--x--"} {
		if res := bodyOf(t, formData, in, false); res.State != record.BodyWithheld {
			t.Errorf("ends of lines that differ, %q: %s %q", in, res.State, res.Content)
		}
	}
	for _, header := range []string{
		"Content-Disposition: form-data; name=a", // no empty line
		"no colon\n\n", ": no name\n\n", "A : b\n\n", " folded: first\n\n",
		"Content-Disposition: form-data; name=\"a\"\nContent-Disposition: form-data; name=\"b\"\n\n",
		"Content-Type: text/plain\ncontent-type: image/png\n\n",
		"Content-Disposition: form-data; name*=utf-8''password\n\n",
		"Content-Disposition: form-data; name=\"a\\\"; filename=\"\n\n",
		"Content-Disposition: form-data; name=\"a\"b\n\n", "Content-Disposition: form-data; name=a b\n\n", "Content-Disposition: form-data; name=\"a\n\n",
		"Content-Disposition: form-data; name\n\n", "Content-Disposition: form-data name=a; b=c\n\n", "Content-Disposition: form-data; name=\n\n",
		"Content-Type: text/plain; charset\n\n", "A: b\x00\n\n", "A: \xff\n\n",
		"A: " + strings.Repeat("b", redact.MaxPartHeader) + "\n\n",
	} {
		raw := header + canary
		res := bodyOf(t, formData, crlf("--x\n"+raw+"\n--x--"), false)
		if want := crlf("--x\n" + withheld(t, raw) + "\n--x--"); string(res.Content) != want {
			t.Errorf("%.60q: %q", header, res.Content)
		}
	}
	for _, header := range []string{"A: b\n\nc\r\n\r\n", "A: b\rc\r\n\r\n"} { // a newline of another kind
		res := bodyOf(t, formData, "--x\r\n"+header+"password=x\r\n--x--", false)
		if !strings.Contains(string(res.Content), "<withheld ") || strings.Contains(string(res.Content), "A:") {
			t.Errorf("%q: %q", header, res.Content)
		}
	}
}

func TestFoldedHeadersOfPartsAreRead(t *testing.T) {
	in := crlf("--x\nContent-Disposition: form-data;\n name=\"password\"\nX-Auth-Token: a\n\tCaNaRy-7f3k\n\nCaNaRy-7f3k\n--x--")
	res := bodyOf(t, formData, in, false)
	if want := crlf("--x\nContent-Disposition: form-data;\n name=\"password\"\nX-Auth-Token: " + value(t, "a\r\n\tCaNaRy-7f3k") + "\n\n" + value(t, canary) + "\n--x--"); string(res.Content) != want {
		t.Errorf("%q, want %q", res.Content, want)
	}
}

// whole is a body with a canary in every place that is not kept.
func whole() string {
	return crlf("CaNaRy-7f3k\n--xx\nContent-Disposition: form-data; name=\"a\"\n\nhello\n--xx \t\nContent-Disposition: form-data; name=\"user[password]\"\n\nCaNaRy-7f3k\nCaNaRy-7f3k\n" +
		"--xx\nX-Auth-Token: CaNaRy-7f3k\nContent-Disposition: form-data; name=\"f\"; filename=\"CaNaRy\"\nContent-Type: text/plain\n\nCaNaRy-7f3k\n" +
		"--xx\nContent-Disposition: form-data; name=\"j\"\nContent-Type: application/json\n\n{\"a\":\"b\",\"token\":\"CaNaRy-7f3k\"}\n" +
		"--xx\nContent-Disposition: form-data; name=\"q\"\n\nhttps://h/?a=b&token=CaNaRy-7f3k\n" +
		"--xx\nContent-Disposition: form-data; name=\"b\"\nContent-Transfer-Encoding: quoted-printable\n\nCaNaRy=2D7f3k\n" +
		"--xx\nContent-Disposition: form-data; name=\"m\"\nContent-Type: multipart/mixed; boundary=yy\n\n--yy\nContent-Type: application/json\n\n{\"password\":\"CaNaRy-7f3k\"}\n--yy\nContent-Type: image/png\n\nCaNaRy-7f3k\n--yy--\n" +
		"--xx--\nCaNaRy-7f3k\n")
}

func TestNoSecretOfAMultipartSurvivesACut(t *testing.T) {
	in := strings.Replace(whole(), `"CaNaRy"`, `"x.txt"`, 1)
	const contentType = "multipart/form-data; boundary=xx"
	for cut := range len(in) {
		res := bodyOf(t, contentType, in[:cut], true)
		if piece := leaks(string(res.Content)); piece != "" {
			t.Fatalf("%q kept %q in %q", in[:cut], piece, res.Content)
		}
		if first := strings.Index(in, "--xx\r\n") + len("--xx\r\n"); cut >= first && res.State != record.BodyTruncated {
			t.Fatalf("%q: %s %s", in[:cut], res.State, res.Reason)
		}
		if n := strings.Index(in, "hello"); cut > n && !strings.Contains(string(res.Content), in[n:min(cut, n+5)]) {
			t.Fatalf("%q became %q", in[:cut], res.Content)
		}
	}
	if res := bodyOf(t, contentType, in, false); leaks(string(res.Content)) != "" || res.State != record.BodyComplete {
		t.Errorf("%q (%s)", res.Content, res.State)
	}
}

func TestACutFileIsAtLeastSoLong(t *testing.T) {
	head := crlf("--x\nContent-Disposition: form-data; filename=a\n\n")
	for content, want := range map[string]int{"1234": 4, "1234\r": 4, "1234\r\n": 4, "1234\r\n-": 4, "1234\r\n--": 4, "1234\r\n--x": 4, "1234\r\n--x-": 4, "1234\r\n--y": 9, "1234--x": 7} {
		res := bodyOf(t, formData, head+content, true)
		if want := fmt.Sprintf("%s<file at least %d bytes>", head, want); string(res.Content) != want || res.State != record.BodyTruncated {
			t.Errorf("%q: %q, want %q", content, res.Content, want)
		}
	}
}

func TestMultipartIsBounded(t *testing.T) {
	const part = "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nCaNaRy-7f3k\r\n"
	in := strings.Repeat(part, redact.MaxParts+2) + "--x--"
	res := bodyOf(t, formData, in, false)
	rest := in[redact.MaxParts*len(part)+len("--x\r\n"):]
	if want := strings.ReplaceAll(strings.Repeat(part, redact.MaxParts), canary, value(t, canary)) + "--x\r\n"; !strings.HasPrefix(string(res.Content), want) ||
		!strings.HasPrefix(string(res.Content)[len(want):], fmt.Sprintf("<withheld %d bytes, ", len(rest))) {
		t.Errorf("%d parts: %q", redact.MaxParts+2, res.Content[max(0, len(res.Content)-200):])
	}
	in = canary
	for i := range redact.MaxNesting + 2 {
		in = fmt.Sprintf("--%d\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n%s\r\n--%[1]d--", i+1, i, in)
	}
	res = bodyOf(t, fmt.Sprintf("multipart/mixed; boundary=%d", redact.MaxNesting+2), in, false)
	if !strings.Contains(string(res.Content), "<withheld ") || leaks(string(res.Content)) != "" {
		t.Errorf("too deep: %q", res.Content)
	}
}

func TestHostileMultipartIsReadInLinearTime(t *testing.T) {
	const size = 1 << 18
	for _, test := range []struct{ contentType, unit string }{
		{"multipart/mixed; boundary=-", "-"},
		{formData, "\n--"},
		{formData, "a--x"},
		{formData, "--x\n"},
		{formData, "--x\n\n"},
		{formData, "--x\n a"},
		{formData, "--x \n"},
		{formData, "--x\nContent-Type: multipart/mixed; boundary=x\n\n"},
		{formData, "--x\nContent-Type: multipart/mixed; boundary=\"x\n"},
		{formData, "--x\r\n\n"},
		{formData, "\n"},
		{formData, "--x--\n"},
	} {
		in := strings.Repeat(test.unit, size/len(test.unit))
		bodyOf(t, test.contentType, "--x\n"+in, true)
		bodyOf(t, test.contentType, in, false)
	}
}

func TestRulesHoldForPartsToo(t *testing.T) {
	r, err := redact.New(redact.Options{Key: key('k'), Pointers: []string{"/note", "/j/a", "/1"}, Keep: []redact.Keep{{Pointer: "/token"}}})
	if err != nil {
		t.Fatal(err)
	}
	const body = "--x\nContent-Disposition: form-data; name=\"note\"\n\n%[1]s\n--x\n\n%[1]s\n--x\nContent-Disposition: form-data; name=\"token\"\n\n%[2]s\n--x\nContent-Disposition: form-data; name=\"j\"\n\n{\"a\":\"%[1]s\",\"b\":\"%[2]s\"}\n--x--\n"
	res := r.Body(redact.Body{ContentType: formData, Content: fmt.Appendf(nil, body, canary, "open"), Side: "request_body"})
	if want := fmt.Sprintf(body, r.Value([]byte(canary)), "open"); string(res.Content) != want {
		t.Errorf("%q, want %q", res.Content, want)
	}
	if diff := cmp.Diff([]string{"request_body:/note", "request_body:/1", "request_body:/j/a"}, res.Redacted); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

func TestMultipartHoldsNoSecretInAnyMode(t *testing.T) {
	for _, mode := range []redact.Mode{redact.HMAC, redact.Mask, redact.Drop} {
		r, err := redact.New(redact.Options{Key: key('k'), Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		body := redact.Body{ContentType: "multipart/form-data; boundary=xx", Content: []byte(whole()), Side: "request_body"}
		res := r.Body(body)
		if leaks(strings.Replace(string(res.Content), `"CaNaRy"`, "", 1)) != "" || res.State != record.BodyComplete {
			t.Errorf("%s: %q (%s)", mode, res.Content, res.State)
		}
		body.Content = res.Content
		if again := r.Body(body); string(again.Content) != string(res.Content) {
			t.Errorf("%s: %q\nbecame %q", mode, res.Content, again.Content)
		}
	}
}

func BenchmarkMultipart(b *testing.B) {
	r := newRedactor(b)
	body := redact.Body{ContentType: "multipart/form-data; boundary=xx", Content: []byte(whole() + strings.Repeat("x", 40<<10))}
	b.SetBytes(int64(len(body.Content)))
	b.ReportAllocs()
	for b.Loop() {
		r.Body(body)
	}
}
