package e2e_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// forge is an issuer who also makes tokens that no issuer makes.
type forge struct {
	t     *testing.T
	rsa   *rsa.PrivateKey
	ec    *ecdsa.PrivateKey
	ed    ed25519.PrivateKey
	other *rsa.PrivateKey // is not published
	set   []byte          // of what is
}

// hostile is a token that must be refused, and what the refusal has to say.
type hostile struct{ name, token, says string }

func newForge(t *testing.T) *forge {
	f := &forge{
		t: t, rsa: must(rsa.GenerateKey(rand.Reader, 2048)), ec: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		ed: ed25519.NewKeyFromSeed(make([]byte, 32)), other: must(rsa.GenerateKey(rand.Reader, 2048)),
	}
	f.set = must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &f.rsa.PublicKey, KeyID: "r"}, {Key: &f.ec.PublicKey, KeyID: "e"}, {Key: f.ed.Public(), KeyID: "d"},
	}}))
	return f
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func (f *forge) writeKeys(dir string) string {
	path := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(path, f.set, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

var b64 = base64.RawURLEncoding.EncodeToString

// claims are good ones; more comes last, and without takes one away.
func claims(more string, without ...string) string {
	now := time.Now().Unix()
	all := []struct{ name, value string }{
		{"sub", `"dora"`},
		{"aud", `"audit"`},
		{"iss", `"https://id.example.org"`},
		{"amr", `["pwd","mfa"]`},
		{"roles", `["auditor"]`},
		{"projects", `"*"`},
		{"project_id", `"p1"`},
		{"iat", fmt.Sprint(now)},
		{"nbf", fmt.Sprint(now)},
		{"exp", fmt.Sprint(now + 3600)},
	}
	var list []string
next:
	for _, c := range all {
		for _, name := range without {
			if c.name == name {
				continue next
			}
		}
		list = append(list, `"`+c.name+`":`+c.value)
	}
	if more != "" {
		list = append(list, more)
	}
	return "{" + strings.Join(list, ",") + "}"
}

// with are good claims of which one is another.
func with(name, value string) string { return claims(`"`+name+`":`+value, name) }

// raw makes a token of three parts as they are.
func raw(header, payload string, signature []byte) string {
	return b64([]byte(header)) + "." + b64([]byte(payload)) + "." + b64(signature)
}

// by signs with a key and by a method, whatever the header says.
func by(method jwt.SigningMethod, key any, header, payload string) string {
	return raw(header, payload, must(method.Sign(b64([]byte(header))+"."+b64([]byte(payload)), key)))
}

func (f *forge) byRSA(header, payload string) string {
	return by(jwt.SigningMethodRS256, f.rsa, header, payload)
}

func (f *forge) byEC(header, payload string) string {
	return by(jwt.SigningMethodES256, f.ec, header, payload)
}

const (
	rs = `{"alg":"RS256","kid":"r"}`
	ps = `{"alg":"PS256","kid":"r"}`
	es = `{"alg":"ES256","kid":"e"}`
	ed = `{"alg":"EdDSA","kid":"d"}`
)

// good are tokens that are accepted.
func (f *forge) good() []string {
	return []string{
		f.byRSA(rs, claims("")), by(jwt.SigningMethodPS256, f.rsa, ps, claims("")), f.byEC(es, claims("")), by(jwt.SigningMethodEdDSA, f.ed, ed, claims("")),
		f.byEC(`{ "typ":"JWT",	"alg":"ES256"}`, with("aud", `["nova","audit"]`)),
	}
}

// hostile are tokens that are not.
func (f *forge) hostile(lure string) []hostile {
	all := append(f.algorithms(), f.keys(lure)...)
	all = append(all, f.signatures()...)
	all = append(all, f.forms()...)
	return append(all, f.lies()...)
}

// algorithms are tokens that choose how they are checked.
func (f *forge) algorithms() []hostile {
	good := claims("")
	der := must(x509.MarshalPKIXPublicKey(&f.rsa.PublicKey))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	mac := func(key []byte) string { return by(jwt.SigningMethodHS256, key, `{"alg":"HS256","kid":"r"}`, good) }
	genuine := strings.Split(f.byRSA(rs, good), ".")
	return []hostile{
		{"none", raw(`{"alg":"none"}`, good, nil), "not signed"},
		{"None, with a key id", raw(`{"alg":"None","kid":"r"}`, good, nil), "not signed"},
		{"nOnE, with a signature", b64([]byte(`{"alg":"nOnE"}`)) + "." + genuine[1] + "." + genuine[2], "not signed"},
		{"no algorithm", f.byRSA(`{"kid":"r"}`, good), "not signed"},
		{"an empty algorithm", f.byRSA(`{"alg":"","kid":"r"}`, good), "not signed"},
		{"an algorithm of null", f.byRSA(`{"alg":null,"kid":"r"}`, good), "not signed"},
		{"an algorithm of a number", f.byRSA(`{"alg":256,"kid":"r"}`, good), "not signed"},
		{"a list of algorithms", f.byRSA(`{"alg":["RS256"],"kid":"r"}`, good), "not signed"},
		{"an algorithm in lower case", f.byRSA(`{"alg":"rs256","kid":"r"}`, good), "not signed"},
		{"an algorithm with a space", f.byRSA(`{"alg":"RS256 ","kid":"r"}`, good), "not signed"},
		{"an algorithm with NUL", f.byRSA(`{"alg":"RS256\u0000","kid":"r"}`, good), "not signed"},
		{"an algorithm under another case", f.byRSA(`{"ALG":"RS256","kid":"r"}`, good), "not signed"},
		{"two cases of alg", f.byRSA(`{"Alg":"RS256","alg":"none","kid":"r"}`, good), "not signed"},
		{"alg twice", f.byRSA(`{"alg":"none","alg":"RS256"}`, good), "same name twice"},
		{"alg twice, once escaped", f.byRSA(`{"alg":"RS256","\u0061\u006cg":"RS256"}`, good), "same name twice"},
		{"HMAC keyed with the PEM of the key", mac(public), "not signed"},
		{"HMAC keyed with the trimmed PEM", mac([]byte(strings.TrimSpace(string(public)))), "not signed"},
		{"HMAC keyed with the DER of the key", mac(der), "not signed"},
		{"HMAC keyed with the modulus", mac(f.rsa.N.Bytes()), "not signed"},
		{"HMAC keyed with the key set", mac(f.set), "not signed"},
		{"HMAC keyed with nothing", mac([]byte{}), "not signed"},
		{"HS512", by(jwt.SigningMethodHS512, public, `{"alg":"HS512"}`, good), "not signed"},
		{"RS384", by(jwt.SigningMethodRS384, f.rsa, `{"alg":"RS384","kid":"r"}`, good), "not signed"},
		{"RS512", by(jwt.SigningMethodRS512, f.rsa, `{"alg":"RS512","kid":"r"}`, good), "not signed"},
		{"PS512", by(jwt.SigningMethodPS512, f.rsa, `{"alg":"PS512","kid":"r"}`, good), "not signed"},
		{"ES256K", f.byEC(`{"alg":"ES256K","kid":"e"}`, good), "not signed"},
		{"RS256 of a PS256 signature", by(jwt.SigningMethodPS256, f.rsa, rs, good), "not signed"},
		{"PS256 of an RS256 signature", f.byRSA(ps, good), "not signed"},
		{"ES256 of an RSA signature", f.byRSA(`{"alg":"ES256"}`, good), "not signed"},
	}
}

// keys are tokens that choose their key.
func (f *forge) keys(lure string) []hostile {
	good := claims("")
	forged := func(more string) string {
		return by(jwt.SigningMethodRS256, f.other, `{"alg":"RS256"`+more+`}`, good)
	}
	own := string(must(json.Marshal(jose.JSONWebKey{Key: &f.other.PublicKey, KeyID: "r"})))
	empty := func(id string) string {
		return by(jwt.SigningMethodHS256, []byte{}, `{"alg":"HS256","kid":"`+id+`"}`, good)
	}
	return []hostile{
		{"a key of somebody else", forged(""), "not signed"},
		{"a key of somebody else, a known key id", forged(`,"kid":"r"`), "not signed"},
		{"a key in the token", forged(`,"jwk":` + own), "not signed"},
		{"a key in the token, a known key id", forged(`,"kid":"r","jwk":` + own), "not signed"},
		{"keys elsewhere", forged(`,"jku":"` + lure + `/keys"`), "not signed"},
		{"a certificate elsewhere", forged(`,"x5u":"` + lure + `/cert"`), "not signed"},
		{"a certificate in the token", forged(`,"x5c":["` + base64.StdEncoding.EncodeToString(f.certificate()) + `"]`), "not signed"},
		{"a key id that is a file", empty("../../../../dev/null"), "not signed"},
		{"a key id that is an address", forged(`,"kid":"` + lure + `/key"`), "no key"},
		{"a key id that is SQL", f.byRSA(`{"alg":"RS256","kid":"x' UNION SELECT 'r"}`, good), "no key"},
		{"a key id that is a command", f.byRSA(`{"alg":"RS256","kid":"r|id"}`, good), "no key"},
		{"a key id with NUL", f.byRSA(`{"alg":"RS256","kid":"r\u0000"}`, good), "no key"},
		{"a key id in another case", f.byRSA(`{"alg":"RS256","kid":"R"}`, good), "no key"},
		{"a key id that is a list", f.byRSA(`{"alg":"RS256","kid":["r"]}`, good), "not a string"},
		{"a key id that is null", f.byRSA(`{"alg":"RS256","kid":null}`, good), "not a string"},
		{"a key id of a key of another kind", f.byRSA(`{"alg":"RS256","kid":"e"}`, good), "no key"},
		{"a key id twice", f.byRSA(`{"alg":"RS256","kid":"x","kid":"r"}`, good), "same name twice"},
		{"a critical extension", f.byRSA(`{"alg":"RS256","kid":"r","crit":["exp"],"exp":1}`, good), "crit"},
		{"no critical extension", f.byRSA(`{"alg":"RS256","kid":"r","crit":[]}`, good), "crit"},
		{"b64 that is false", f.unencoded(`{"alg":"RS256","kid":"r","b64":false,"crit":["b64"]}`, good), "three parts"},
		{"b64 that is false, without dots", f.unencoded(`{"alg":"RS256","kid":"r","b64":false,"crit":["b64"]}`, `{"sub":"dora"}`), "not base64url"},
	}
}

// unencoded is a token whose payload stands there as it is (RFC 7797).
func (f *forge) unencoded(header, payload string) string {
	text := b64([]byte(header)) + "." + payload
	return text + "." + b64(must(jwt.SigningMethodRS256.Sign(text, f.rsa)))
}

func (f *forge) certificate() []byte { return issue(f.t, "mallory", nil).Certificate[0] }

// forms are tokens that are not written as one.
func (f *forge) forms() []hostile {
	good := f.byRSA(rs, claims(""))
	part := strings.Split(good, ".")
	const parts, base = "three parts", "not base64url"
	sealed := must(must(jose.NewEncrypter(jose.A128CBC_HS256, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: &f.rsa.PublicKey}, (&jose.EncrypterOptions{}).WithContentType("JWT"))).Encrypt([]byte(good)))
	header := func(text string) string { return f.byRSA(text, claims("")) }
	return []hostile{
		{"a token within an encrypted one", must(sealed.CompactSerialize()), parts},
		{"an encrypted one in JSON", strings.ReplaceAll(sealed.FullSerialize(), "\n", ""), parts},
		{"a token in JSON", fmt.Sprintf(`{"payload":"%s","protected":"%s","signature":"%s"}`, part[1], part[0], part[2]), parts},
		{"a token within a token", f.byRSA(`{"alg":"RS256","kid":"r","cty":"JWT"}`, good), "not a JSON object"},
		{"two parts", part[0] + "." + part[1], parts},
		{"four parts", good + ".", parts},
		{"a dot before", "." + good, parts},
		{"only dots", "..", "not a JSON object"},
		{"a word behind", good + "garbage!", base},
		{"letters behind", good + "AAAA", "not signed"},
		{"two tokens", good + "," + good, parts},
		{"a space in the signature", part[0] + "." + part[1] + "." + part[2][:20] + " " + part[2][20:], base},
		{"a space before a dot", part[0] + " ." + part[1] + "." + part[2], base},
		{"padding", part[0] + "." + part[1] + "." + part[2] + "==", base},
		{"padding of the header", part[0] + "=." + part[1] + "." + part[2], base},
		{"the alphabet of base64", part[0] + "." + part[1] + "." + base64.RawStdEncoding.EncodeToString([]byte("\xff\xff\xff")), base},
		{"percent encoding", url.QueryEscape(strings.Replace(good, ".", "%2E", 1)), parts},
		{"quotes around", `"` + good + `"`, base},
		{"a mark of byte order", header("\ufeff" + rs), "not a JSON object"},
		{"a header of null", header("null"), "not a JSON object"},
		{"a header with a comma too many", header(`{"alg":"RS256","kid":"r",}`), "not a JSON object"},
		{"a header with more behind", header(rs + "{}"), "not a JSON object"},
		{"a deep header", header(`{"alg":"RS256","kid":"r","x":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + "}"), "nested"},
		{"claims in UTF-16", f.byRSA(rs, string([]byte{0xff, 0xfe, '{', 0, '}', 0})), "not a JSON object"},
		{"claims that are a list", f.byRSA(rs, "["+claims("")+"]"), "not a JSON object"},
		{"deep claims", f.byRSA(rs, claims(`"x":`+strings.Repeat(`{"a":`, 999)+"1"+strings.Repeat("}", 999))), "nested"},
		{"a huge token", f.byRSA(rs, claims(`"x":"`+strings.Repeat("x", 12<<10)+`"`)), "bytes"},
	}
}

// lies are tokens of the issuer that are not for us, or not for now.
func (f *forge) lies() []hostile {
	now := time.Now().Unix()
	at := func(offset int64) string { return fmt.Sprint(now + offset) }
	var list []hostile
	add := func(name, payload, says string) { list = append(list, hostile{name, f.byRSA(rs, payload), says}) }
	add("no end", claims("", "exp"), "no exp")
	add("an end that has passed with the leeway", with("exp", at(-31)), "expired")
	add("an end an hour ago", with("exp", at(-3600)), "expired")
	add("an end of 0", with("exp", "0"), "expired")
	for name, value := range map[string]string{
		"a fraction": "1900000000.5", "text": `"1900000000"`, "a power": "19e8", "beyond 64 bits": "18446744073709551616", "infinite": "1e999",
		"negative": "-1", "true": "true", "null": "null", "a list": "[1900000000]", "an object": `{"a":1}`,
	} {
		add("an end that is "+name, with("exp", value), "exp of the token")
	}
	add("an end in capitals", claims(`"EXP":1900000000`, "exp"), "no exp")
	add("not before the future", with("nbf", at(600)), "not valid before")
	add("not before a word", with("nbf", `"now"`), "nbf of the token")
	add("issued in the future", with("iat", at(600)), "issued in the future")
	add("issued as text", with("iat", `"`+at(0)+`"`), "iat of the token")
	add("no audience", claims("", "aud"), "audience")
	for name, value := range map[string]string{
		"another": `"nova"`, "in capitals": `"AUDIT"`, "with a space": `"audit "`, "with more": `"audit nova"`, "of a homoglyph": `"аudit"`,
		"with a letter that folds": `"audıt"`, "with NUL": `"audit\u0000"`, "of others": `["nova","cinder"]`, "a list in a list": `[["audit"]]`, "an object": `{"audit":true}`,
		"empty": `""`, "null": "null", "a list of a number": "[1]", "a list with a number": `["audit",1]`,
	} {
		add("an audience that is "+name, with("aud", value), "")
	}
	add("no issuer", claims("", "iss"), "issuer")
	add("an issuer with a slash", with("iss", `"https://id.example.org/"`), "issuer")
	add("an issuer in capitals", with("iss", `"https://ID.example.org"`), "issuer")
	add("a list of issuers", with("iss", `["https://id.example.org"]`), "issuer")
	add("an issuer in it", with("iss", `"https://id.example.org.evil.example"`), "issuer")
	add("no second factor", claims("", "amr"), "amr")
	add("a second factor among words", with("amr", `"pwd mfa"`), "amr")
	add("a second factor in a list in a list", with("amr", `[["mfa"]]`), "amr")
	add("sub twice", claims(`"sub":"root"`), "same name twice")
	add("sub twice, once escaped", claims(`"\u0073ub":"root"`), "same name twice")
	add("a name twice within", claims(`"x":[{"a":1,"a":2}]`), "same name twice")
	return list
}
