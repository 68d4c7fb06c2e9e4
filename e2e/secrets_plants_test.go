package e2e_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// position is a place where a secret may stand. In its text § is where the
// secret goes, as its coding writes it, and ¶ where a word goes that is not
// secret and has to be found in the record: so nothing passes by being thrown
// away. Where the gateway cannot read a text, and withholds it, there is no ¶.
type position struct {
	name   string
	kind   string // Content-Type
	text   string
	coding coding // nil: as it is
	shape  shape
	// options is true where the secret is one by the options of redact alone.
	options bool
}

// shape is what a secret looks like.
type shape byte

const (
	aPassword shape = iota
	aNumber         // a number
	aCard           // a number with dashes, by Luhn's rule
	aJWT
	aPEM
)

// plant is a secret in one place of one call, or a word that is not secret.
type plant struct {
	position, variant string
	open              bool     // not secret
	text              string   // as whoever reads it will have it
	tells             []string // parts of the text: see least
	least             int      // so many bytes of one of tells betray it
}

// garden is all that is planted.
type garden struct{ plants []*plant }

// words returns n letters and digits that are always the same for seed, and
// unlike all others.
func words(seed string, n int, of string) string {
	r := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(seed))))
	b := make([]byte, n)
	for i := range b {
		b[i] = of[r.IntN(len(of))]
	}
	return string(b)
}

const (
	decimal      = "0123456789"
	alphanumeric = decimal + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	// awkward is what parsers trip over.
	awkward = ` "\&;=<>'/é,}]: %+#?@`
)

// secret plants one. With hard, a password has a middle that needs its coding.
func (g *garden) secret(position, variant string, s shape, hard bool) *plant {
	seed := position + "|" + variant
	p := &plant{position: position, variant: variant, least: 8}
	switch s {
	case aPassword:
		p.text = words(seed, 24, alphanumeric)
		p.tells = []string{p.text}
		if hard {
			p.tells = []string{words(seed, 16, alphanumeric), words("of "+seed, 16, alphanumeric)}
			p.text = strings.Join(p.tells, awkward)
		}
	case aNumber:
		p.text = "7" + words(seed, 17, decimal)
		p.tells, p.least = []string{p.text}, 11
	case aCard:
		number := luhn("4" + words(seed, 14, decimal))
		p.text = number[:4] + "-" + number[4:8] + "-" + number[8:12] + "-" + number[12:]
		p.tells, p.least = []string{p.text, number}, 11
	case aJWT:
		id := words(seed, 24, alphanumeric)
		signature := words("of "+seed, 43, alphanumeric)
		encode := base64.RawURLEncoding.EncodeToString
		p.text = encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(`{"jti":"`+id+`"}`)) + "." + signature
		p.tells = []string{id, signature}
	case aPEM:
		p.tells = []string{words(seed, 64, alphanumeric), words("of "+seed, 64, alphanumeric)}
		p.text = "-----BEGIN PRIVATE KEY-----\n" + strings.Join(p.tells, "\n") + "\n-----END PRIVATE KEY-----"
	}
	g.plants = append(g.plants, p)
	return p
}

// word plants a word that is not secret.
func (g *garden) word(position, variant string) *plant {
	p := &plant{position: position, variant: variant, open: true, least: 8, text: words("¶"+position+"|"+variant, 20, alphanumeric)}
	p.tells = []string{p.text}
	g.plants = append(g.plants, p)
	return p
}

// text is what a position becomes with a secret and a word of its own. The
// secret begins at at and is n bytes long there.
func (g *garden) text(p position, in, variant string, hard, wordStays bool) (text string, at, n int) {
	variant = in + ", " + variant
	secret := g.secret(p.name, variant, p.shape, hard && p.coding != nil)
	as := secret.text
	if p.coding != nil {
		as = p.coding(as)
	}
	text = p.text
	if strings.Contains(text, "¶") {
		word := words("¶"+p.name+"|"+variant, 20, alphanumeric)
		if wordStays {
			word = g.word(p.name, variant).text
		}
		text = strings.ReplaceAll(text, "¶", word)
	}
	at = strings.Index(text, "§")
	return strings.ReplaceAll(text, "§", as), at, len(as)
}

func luhn(number string) string {
	sum := 0
	for i := range number {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return number + string(rune('0'+(10-sum%10)%10))
}

// coding is how a text is written inside another.
type coding func(string) string

func inJSON(text string) string {
	quoted := quote(text)
	return quoted[1 : len(quoted)-1]
}

// quote returns text as JSON.
func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string
	return strings.TrimSuffix(b.String(), "\n")
}

func inXML(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // into memory
	return b.String()
}

// hexJSON writes every character as an escape, as JSON may.
func hexJSON(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	return b.String()
}

// hexPercent does so as URLs may.
func hexPercent(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, "%%%02X", text[i])
	}
	return b.String()
}

// inEntities writes every character as XML may.
func inEntities(text string) string {
	var b strings.Builder
	for _, c := range text {
		fmt.Fprintf(&b, "&#x%x;", c)
	}
	return b.String()
}

func inBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// asUser is what Basic authentication makes of a password.
func asUser(text string) string { return inBase64("alice:" + text) }

func inHTML(text string) string { return strings.ReplaceAll(inXML(text), "&#39;", "&apos;") }

// sorted goes through m in the order of its keys.
func sorted(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// then writes text in the first coding, that in the second, and so on.
func then(codings ...coding) coding {
	return func(text string) string {
		for _, c := range codings {
			text = c(text)
		}
		return text
	}
}

// percent is [url.QueryEscape] but for what marks places.
func percent(text string) string {
	return strings.NewReplacer("%C2%A7", "§", "%C2%B6", "¶").Replace(url.QueryEscape(text))
}

// compress encodes body with the codings of a Content-Encoding header.
func compress(t *testing.T, codings string, body []byte) []byte {
	t.Helper()
	if codings == "" {
		return body
	}
	for name := range strings.SplitSeq(codings, ", ") {
		var b bytes.Buffer
		var w io.WriteCloser
		switch name {
		case "gzip":
			w = gzip.NewWriter(&b)
		case "deflate":
			w = zlib.NewWriter(&b)
		case "br":
			w = brotli.NewWriter(&b)
		case "zstd":
			w, _ = zstd.NewWriter(&b) // without options it cannot fail
		default:
			t.Fatalf("no such coding: %s", name)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		body = b.Bytes()
	}
	return body
}

// utf16of is text in UTF-16, little endian with a byte order mark or big endian
// without one.
func utf16of(text []byte, mark bool) []byte {
	var b []byte
	if mark {
		b = []byte{0xff, 0xfe}
	}
	for _, u := range utf16.Encode([]rune(string(text))) {
		if mark {
			b = append(b, byte(u), byte(u>>8))
		} else {
			b = append(b, byte(u>>8), byte(u))
		}
	}
	return b
}
