package redact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

func TestValidJSONIsKeptByteForByte(t *testing.T) {
	for _, in := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `1`, `-1`, `1.5`, `-0.1e+9`, `1E400`, `10e-5`, `true`, `false`, `null`,
		" \t\r\n[ \t\r\n] \t\r\n", `[1 , 2 ,3]`, `{"" : ""}`, `{"a":{"b":[{"c":null}]}}`, `{"a":1,"a":2}`,
		`"\u0000\uD834\uDD1E\uD800\/\b\f\n\r\t\\\""`, `"é€𝄞"`, "\"\x7f\"", `["]","}","{","["]`,
		`{"long":"` + strings.Repeat("abcdefg", 50) + `"}`,
		strings.Repeat("[", redact.MaxDepth) + strings.Repeat("]", redact.MaxDepth),
		"{}\n{}", "{}{}", "[1] [2]", "1 2\n3", " ",
		`{"a":"{"}`, `{"a":"{not json} really"}`, `{"a":"[INFO] started"}`, `{"a":"\"quoted\" text"}`, `{"a":"x=1&y=2"}`,
	} {
		if res := bodyOf(t, "application/json", in, false); string(res.Content) != in || res.Changed {
			t.Errorf("%q became %q (%s %s)", in, res.Content, res.State, res.Reason)
		}
	}
}

func TestInvalidJSONIsWithheld(t *testing.T) {
	for _, in := range []string{
		`{`, `[`, `"`, `]`, `}`, `,`, `:`, `{]`, `[}`, `[1,]`, `[,1]`, `[1 2]`, `[1,,2]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`,
		`{"a" 1}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{"a":1}}`, `[1]]`, `[1]x`, `{"a":1}#`, `truefalse`, `12"a"`, `[1]2`,
		`tru`, `True`, `nul`, `nan`, `NaN`, `Infinity`, `-`, `+1`, `.5`, `1.`, `1.e5`, `1e`, `1e+`, `01`, `-01`, `0x1`, `1_000`, `--1`, `[1.]`, `[-]`,
		`"a`, `"\x"`, `"\u12"`, `"\u12G4"`, "\"\\u\x10\x10\x10\x10\"", "\"a\tb\"", "\"a\nb\"", "\"\x00\"", "\"0123456\x1f\"", "\x00", "[\f1]", "\u00a0[]", "[1]\x00",
		"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"é\xe2\x82\"", `/**/{}`, `{}//x`, "\x1e{}",
		"[\xEF\xBB\xBF]",
	} {
		if res := bodyOf(t, "application/json", in, false); res.State != record.BodyWithheld || res.Reason != record.ReasonUnparsable {
			t.Errorf("%q became %q (%s %s)", in, res.Content, res.State, res.Reason)
		}
	}
}

func TestTextInTextIsHiddenWhereItIsTooDeep(t *testing.T) {
	secret := `{"token":"` + canary + `"}`
	for nesting := range 2 * redact.MaxNesting {
		quoted, _ := json.Marshal(secret)
		secret = `{"a":` + string(quoted) + `}`
		res := bodyOf(t, "application/json", secret, false)
		if res.State != record.BodyComplete || leaks(string(res.Content)) != "" {
			t.Errorf("nested %d times: %s %q", nesting+1, res.State, res.Content)
		}
	}
}

// spellings are JSON strings for the name of a secret.
var spellings = []string{
	`"password"`, `"PassWord"`, `"pass_word"`, `"\u0070assword"`, `"pass\u0077\u006Frd"`, `"pa\u017f\u017fword"`, `"paſſword"`, `"adminPass"`,
	`"ADMIN-PASS"`, `"db_password"`, `"spring.datasource.password"`, `"api.key"`, `"token"`, `"\u212Aey.api_\u212Aey"`, `"x-auth-token"`, `"user[password]"`, `"password "`,
	`"client_secret"`, `"secretAccessKey"`, `"original_password"`, `"auth_key"`, `"private_key"`, `"user_data"`, `"refreshToken"`, `"Set-Cookie"`, `"temp_url_sig"`,
}

// values are JSON values that hold the canary, under a secret name.
var values = []string{
	`"` + canary + `"`, `"\u0043\u0061NaRy-7f3k"`, `"a\"` + canary + `\\"`, `{"id":"` + canary + `"}`, `["x",["` + canary + `"]]`, `{"` + canary + `":1}`, `"{\"` + canary + `\":1}"`,
	` "` + canary + `"`, `"é€𝄞 ` + canary + `"`,
}

// frames are documents around a name and a value.
var frames = []string{
	`{%s:%s}`, `{ %s : %s }`, "{\n  %s:\t%s\n}", `[{"a":1,%s:%s,"b":{}}]`, `{"a":{"b":[1,{"c":{%s:%s}}]},"z":"z"}`, `{"x":"{","y":"]",%s:%s}`, "{\"a\":1}\n{%s:%s}\n",
}

// documents are every frame with every spelling of the name of a secret and
// every value.
func documents(yield func(doc string) bool) {
	for _, frame := range frames {
		for _, name := range spellings {
			for _, v := range values {
				if !yield(fmt.Sprintf(frame, name, v)) {
					return
				}
			}
		}
	}
	for _, name := range spellings {
		inner, _ := json.Marshal(fmt.Sprintf(`{"a":[1],%s:"%s"}`, name, canary))
		twice, _ := json.Marshal(fmt.Sprintf(`{"x":%s}`, inner))
		for _, doc := range []string{`{"blob":%s}`, `[1,%s]`, `{"a":{"b":%s},"c":"d"}`} {
			if !yield(fmt.Sprintf(doc, inner)) || !yield(fmt.Sprintf(doc, twice)) {
				return
			}
		}
	}
	for _, text := range []string{
		"https://h/p?a=b&token=" + canary, "https://h/p#access_token=" + canary, "https://ada:" + canary + "@h/p", "password=" + canary,
		"/cb?next=https%3A%2F%2Fh%2F%3Ftoken%3D" + canary, "sig=" + canary + "&x=y", `see \"https://h/?token=` + canary + `\" now`,
		"//ada:" + canary + "@h/p", `INFO {\"password\": \"` + canary + `\"}`, "body was {'a': {'password': '" + canary + "'}}", `\u00a0{\"a\":\"{\\\"password\\\":\\\"` + canary + `\\\"}\"}`,
	} {
		if !yield(`{"x":"`+text+`","y":1}`) || !yield(`{"`+text+`":{"x":1}}`) {
			return
		}
	}
}

// leaks returns four bytes of the canary that stand in a row in text, as it is
// or unescaped; "" where there are none.
func leaks(text string) string {
	for range 2 * redact.MaxNesting {
		for i := range len(canary) - 3 {
			if strings.Contains(text, canary[i:i+4]) {
				return canary[i : i+4]
			}
		}
		if strings.IndexByte(text, '\\') < 0 {
			break
		}
		text = escapes.ReplaceAllStringFunc(text, func(escape string) string {
			if c, err := strconv.ParseUint(escape[2:], 16, 16); err == nil {
				return string(rune(c))
			}
			return escape[1:]
		})
	}
	return ""
}

var escapes = regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|.)`)

func TestNoSecretSurvivesAnywhereInJSON(t *testing.T) {
	for doc := range documents {
		res := bodyOf(t, "application/json", doc, false)
		if res.State != record.BodyComplete || len(res.Redacted) == 0 {
			t.Fatalf("%s\n%s %s %q", doc, res.State, res.Reason, res.Redacted)
		}
		if piece := leaks(string(res.Content)); piece != "" {
			t.Fatalf("%s\nkept %q in %s", doc, piece, res.Content)
		}
		if json.Valid([]byte(doc)) && !json.Valid(res.Content) {
			t.Fatalf("%s\nis no JSON any more: %s", doc, res.Content)
		}
	}
}

func TestNamesOfSecretsAreTold(t *testing.T) {
	for _, name := range []string{
		"passwords", "password1", "new_password2", "passwordConfirmation", "user[password_confirmation]", "password_hash",
		"secrets", "tokens", "cookies", "credential", "credentials", "sessionId", "kubeconfig", "connection_string", "signature",
	} {
		if got, _ := newRedactor(t).Query(name+"=x", nil); got != name+"="+value(t, "x") {
			t.Errorf("kept %s", got)
		}
	}
	for _, name := range []string{"id", "code", "key", "order_id", "session", "max_tokens", "x-amz-credential", "password_policy", "hash", "description"} {
		if got, _ := newRedactor(t).Query(name+"=x", nil); got != name+"=x" {
			t.Errorf("%s became %s", name, got)
		}
	}
}

func TestNoSecretSurvivesACut(t *testing.T) {
	for doc := range documents {
		for cut := range len(doc) {
			in := doc[:cut]
			res := bodyOf(t, "application/json", in, true)
			if res.State != record.BodyTruncated {
				t.Fatalf("%s\n%s %s", in, res.State, res.Reason)
			}
			if piece := leaks(string(res.Content)); piece != "" {
				t.Fatalf("%s\nkept %q in %s", in, piece, res.Content)
			}
		}
	}
}

func TestACutJSONIsKeptUpToTheCut(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{"a":"some te`, `{"a":"some te`},
		{`{"a":tr`, `{"a":tr`},
		{`{"a":12`, `{"a":12`},
		{`{"a":1,`, `{"a":1,`},
		{`{"a":1,"na`, `{"a":1,`},
		{`{"password":"hunt`, `{"password":`},
		{`{"password":"hunter2"`, `{"password":"` + value(t, "hunter2") + `"`},
		{`{"pin":12`, `{"pin":`},
		{`{"token":{"id":"x"`, `{"token":`},
		{`{"a":"{\"secret\":\"hun`, `{"a":"{\"secret\":`},
		{`{"a":"{\"secret\":\"hun\u00`, `{"a":"{\"secret\":`},
		{`{"a":"/p?token=hun`, `{"a":"/p?token=`},
		{"{\"a\":\"\xe2\x82", `{"a":"`},
		{`{"a":"\ud83d`, `{"a":"\ud83d`},
	} {
		if res := bodyOf(t, "application/json", test.in, true); string(res.Content) != test.want {
			t.Errorf("%q became %q (%s %s), want %q", test.in, res.Content, res.State, res.Reason, test.want)
		}
	}
	for _, in := range []string{`{"a":1]`, `{"a":x`, `[1}`, "\"\x00"} {
		if res := bodyOf(t, "application/json", in, true); res.State != record.BodyWithheld {
			t.Errorf("%q became %q", in, res.Content)
		}
	}
}

// FuzzJSON compares with encoding/json: what it reads is kept, with nothing
// changed but secrets; what is kept, it reads.
func FuzzJSON(f *testing.F) {
	for _, in := range []string{
		`{"a":[1,2.5e3,"x",null,true,{}],"b":"é\u00e9"}`, `{"password":{"a":1},"c":"{\"token\":\"x\"}"}`, `[{"x":"https://u:p@h/?token=a%20b&c=d"}]`,
		`{"a":1}{"b":2}`, `[1`, `"\ud800"`, `{"pin":0}`, `{"a":"[{'token':'x'}"}`,
	} {
		f.Add([]byte(in), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		res := bodyOf(t, "application/json", string(in), false)
		known := readable(in)
		if (res.State == record.BodyComplete) != known && !tooDeep(in) && len(in) > 0 {
			t.Fatalf("%q is %s, and encoding/json says %t", in, res.State, known)
		}
		if res.State == record.BodyComplete {
			if json.Valid(in) && !json.Valid(res.Content) {
				t.Fatalf("%q\nbecame %q", in, res.Content)
			}
			if !res.Changed && !bytes.Equal(in, res.Content) {
				t.Fatalf("%q\nbecame %q, unchanged", in, res.Content)
			}
			if len(res.Redacted) == 0 && res.Changed {
				t.Fatalf("%q changed nowhere", in)
			}
		}
		if cut >= 0 && cut < len(in) && res.State == record.BodyComplete {
			if part := bodyOf(t, "application/json", string(in[:cut]), true); len(in[:cut]) > 0 && part.State != record.BodyTruncated {
				t.Fatalf("%q is readable, but its beginning %q is %s", in, in[:cut], part.State)
			}
		}
	})
}

// readable reports whether in is a row of JSON values in UTF-8, apart from each
// other or objects and arrays.
func readable(in []byte) bool {
	if !utf8.Valid(in) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(in, []byte("\xEF\xBB\xBF"))))
	for {
		at := d.InputOffset()
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return errors.Is(err, io.EOF)
		}
		apart := at == 0 || d.InputOffset()-int64(len(v)) > at
		if !apart && v[0] != '{' && v[0] != '[' {
			return false
		}
	}
}

func tooDeep(in []byte) bool {
	return bytes.Count(in, []byte("["))+bytes.Count(in, []byte("{")) > redact.MaxDepth
}

func TestRedactedJSONIsEqualButForItsSecrets(t *testing.T) {
	in := `{"a":[1,{"token":["x"],"b":"\u00fc"}],"n":1e3,"s":"{\"secret\":1,\"k\":[2]}"}`
	res := bodyOf(t, "application/json", in, false)
	var got, want any
	if err := json.Unmarshal(res.Content, &got); err != nil {
		t.Fatal(err)
	}
	in = strings.ReplaceAll(strings.ReplaceAll(in, `["x"]`, `"`+value(t, `["x"]`)+`"`), `\"secret\":1`, `\"secret\":\"`+value(t, "1")+`\"`)
	if err := json.Unmarshal([]byte(in), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
