package redact_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// document writes random bodies twice: as they come, and as they must be kept.
type document struct {
	rng       *rand.Rand
	r         *redact.Redactor
	in, want  strings.Builder
	anySecret bool
}

func (d *document) both(format string, args ...any) {
	fmt.Fprintf(&d.in, format, args...)
	fmt.Fprintf(&d.want, format, args...)
}

func (d *document) pick(list ...string) string { return list[d.rng.IntN(len(list))] }

func (d *document) space() { d.both("%s", d.pick("", "", "", " ", "\n\t", "  ")) }

// neutral are names and texts that say nothing of secrets, near as some come.
func (d *document) name() string {
	return d.pick("id", "next_token_count", "passenger", "keys", "tokenizer", "", "ü", `a\"b`, `\u0061`, "x-y.z", "items[0]", "secretary", "access_key_id", "pinned")
}

func (d *document) text() string {
	return d.pick("", "Ada", `\"quoted\"`, "the token expired", "https://h.example/a?b=c&d=e#f", "a@b.example", `C:\\dir`, "ключ", `\ud83d\ude00`, "1,2;3",
		"password reset", "-----BEGIN CERTIFICATE-----", "{not json}", "[1,2", "50%", "a=b", "''")
}

func (d *document) secretName() string {
	return d.pick("password", "adminPass", `p\u0061ssword`, "DB-PASSWORD", "token", "user[secret]", "api_key")
}

func (d *document) value(depth int) {
	d.space()
	switch n := d.rng.IntN(9); {
	case n < 2 && depth > 0:
		d.both("{")
		for i := range d.rng.IntN(5) {
			if i > 0 {
				d.both(",")
			}
			d.space()
			d.member(depth - 1)
		}
		d.both("}")
	case n < 4 && depth > 0:
		d.both("[")
		for i := range d.rng.IntN(4) {
			if i > 0 {
				d.both(",")
			}
			d.value(depth - 1)
		}
		d.both("]")
	case n < 7:
		d.both(`"%s"`, d.text())
	default:
		d.both("%s", d.pick("null", "true", "0", "-1.5e+3", "4111111111111111"))
	}
	d.space()
}

func (d *document) member(depth int) {
	if d.rng.IntN(4) > 0 {
		d.both(`"%s":`, d.name())
		d.value(depth)
		return
	}
	d.anySecret = true
	d.both(`"%s": `, d.secretName())
	secret := fmt.Sprintf("s%x", d.rng.Uint64())
	raw, plain := `"`+secret+`"`, secret
	switch d.rng.IntN(4) {
	case 0:
		raw = fmt.Sprintf(`{"a":[%q, 1]}`, secret)
		plain = raw
	case 1:
		raw, plain = "12345", "12345"
	}
	d.in.WriteString(raw)
	d.want.WriteString(`"` + d.r.Value([]byte(plain)) + `"`)
}

func TestRandomJSONLosesItsSecretsAndNothingElse(t *testing.T) {
	seed := rand.Uint64()
	withSecrets := 0
	for i := range 20_000 {
		d := &document{rng: rand.New(rand.NewPCG(seed, uint64(i))), r: newRedactor(t)}
		d.both("{")
		d.member(4)
		d.both("}")
		d.check(t, "application/json", seed)
		if d.anySecret {
			withSecrets++
		}
	}
	if withSecrets < 1000 {
		t.Errorf("only %d of the documents had a secret", withSecrets)
	}
}

func TestRandomFormsLoseTheirSecretsAndNothingElse(t *testing.T) {
	seed := rand.Uint64()
	for i := range 20_000 {
		d := &document{rng: rand.New(rand.NewPCG(seed, uint64(i))), r: newRedactor(t)}
		d.both("first=%s", url.QueryEscape(d.pick("", "ü", "a b", "1+1", "100%")))
		for range d.rng.IntN(6) {
			if d.rng.IntN(3) > 0 {
				d.both("&%s=%s", d.pick("id", "passenger", "a%5B%5D", "next", "q"), d.pick("", "a+b", "%C3%BC", "https%3A%2F%2Fh%2Fp", "the+token+expired", "%7Bnot", "x.y"))
				continue
			}
			secret := fmt.Sprintf("s%x", d.rng.Uint64())
			d.both("&%s=", d.pick("password", "a%5Btoken%5D", "client_secret", "p%61ssword"))
			d.in.WriteString(secret)
			d.want.WriteString(d.r.Value([]byte(secret)))
		}
		d.check(t, "application/x-www-form-urlencoded", seed)
	}
}

// check redacts the document twice: the second time nothing may change.
func (d *document) check(t *testing.T, contentType string, seed uint64) {
	t.Helper()
	res := d.r.Body(redact.Body{ContentType: contentType, Content: []byte(d.in.String()), Side: "request_body"})
	if res.State != record.BodyComplete || string(res.Content) != d.want.String() {
		t.Fatalf("seed %d\n in   %s\n got  %s %s %s\n want %s", seed, d.in.String(), res.State, res.Reason, res.Content, d.want.String())
	}
	if res.Changed != (d.in.String() != d.want.String()) {
		t.Fatalf("seed %d: changed is %v of %s", seed, res.Changed, d.in.String())
	}
	again := d.r.Body(redact.Body{ContentType: contentType, Content: res.Content, Side: "request_body"})
	if string(again.Content) != string(res.Content) || len(again.Redacted) > 0 {
		t.Fatalf("seed %d\n once  %s\n twice %s", seed, res.Content, again.Content)
	}
}
