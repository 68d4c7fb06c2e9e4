package decode_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"

	"github.com/auditgate/auditgate/capture/decode"
)

var (
	utf16le  = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	utf16be  = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	utf16bom = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	utf32le  = utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)
	utf32be  = utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)
	utf32bom = utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
)

func in(t testing.TB, e encoding.Encoding, text string) string {
	t.Helper()
	out, err := e.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTextComesOutInUTF8(t *testing.T) {
	const doc = `{"name":"Zoë","password":"x\"y","e":"€"}`
	for _, test := range []struct{ contentType, content, want string }{
		{"application/json; charset=iso-8859-15", in(t, charmap.ISO8859_15, doc), doc},
		{"text/plain;charset=\"LATIN1\"", "caf\xe9 \x80", "café €"}, // what is called Latin-1 is Windows-1252 on the web
		{"application/x-www-form-urlencoded; charset=windows-1251", "a=\xcf\xe0", "a=Па"},
		{"application/xml", "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>", "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>"},
		{"text/csv; charset=gbk", "a,\xc4\xe3\n", "a,你\n"},
		{"text/html; charset=euc-jp", "<b>\xc6\xfc</b>", "<b>日</b>"},
		{"", in(t, utf16le, doc), doc},
		{"application/json", in(t, utf16be, doc), doc},
		{"application/json; charset=utf-8", in(t, utf16le, doc), doc},
		{"application/json; charset=utf-16", in(t, utf16le, doc), doc},
		{"application/json; charset=UTF-16BE", in(t, utf16be, doc), doc},
		{"application/json", in(t, utf16bom, doc), doc},
		{"application/json; charset=latin1", in(t, utf16bom, doc), doc},
		{"text/json", in(t, utf32le, doc), doc},
		{"application/problem+json", in(t, utf32be, doc), doc},
		{"application/json", in(t, utf32bom, doc), doc},
		{"text/plain; charset=utf-16le", in(t, utf16le, "é: 日本語 😀\n"), "é: 日本語 😀\n"},
		{"text/plain", in(t, utf16le, doc)[:15], doc[:7]},       // cut within a unit
		{"text/plain", in(t, utf16be, "ab😀")[:6], "ab"},         // and within a pair
		{"text/html; charset=shift_jis", "a\x93\xfa\x96", "a日"}, // and within a character
		{"image/png", in(t, utf16le, doc), doc},                 // nobody has to believe what it is said to be
		{"application/xml; charset=utf-16", in(t, utf16bom, "<?xml version='1.0'?><a/>"), "<?xml version='1.0'?><a/>"},
	} {
		got, changed, err := decode.Charset(test.contentType, []byte(test.content))
		if string(got) != test.want || !changed || err != nil {
			t.Errorf("%s %q: %q, changed %t, %v; want %q", test.contentType, test.content, got, changed, err, test.want)
		}
	}
}

func TestWhatIsUTF8StaysWhateverItsLabel(t *testing.T) {
	for _, test := range []struct{ contentType, content string }{
		{"", "plain"},
		{"application/json", `{"a":"é"}`},
		{"application/json; charset=utf-8", `{"a":"é"}`},
		{"application/json; charset=UTF8", "\xEF\xBB\xBF{}"},
		{"application/json; charset=utf-16", `{"password":"x"}`},
		{"application/json; charset=utf-16be", `{"password":"é"}`},
		{"text/plain; charset=latin1", "caf\u00e9"},
		{"text/plain; charset=gbk", `{"a":"\u4f60"}`},
		{"text/plain; charset=shift_jis", "a=b"},
		{"text/plain; charset=", "a"},
		{"text/xml; charset=utf-8", "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>"},
		{"text/xml", "\xEF\xBB\xBF<?xml version='1.0' encoding=\"utf-8\"?><a>é</a>"},
		{"text/xml", "<?xml version='1.0'?><a encoding='utf-7'/>"},
		// What is no text is not touched, and will be withheld, or kept as a picture.
		{"", "\x7fELF\x00\x00"},
		{"text/plain", "a\xff"},
		{"text/plain", "\xff\xfea\xff"},
		{"application/octet-stream; charset=utf-7", "x"},
		{"image/png; charset=utf-7", "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"},
		{"video/mp4", "\x00\x00\x00\x18ftypmp42"},
		{"audio/wav", "\x01\x00\x02\x00\x03\x00"},
		{"multipart/form-data; boundary=x; charset=utf-16", "a\x00b\x00"},
		{"application/grpc", "a\x00b\x00"},
	} {
		got, changed, err := decode.Charset(test.contentType, []byte(test.content))
		if string(got) != test.content || changed || err != nil {
			t.Errorf("%s %q: %q, changed %t, %v", test.contentType, test.content, got, changed, err)
		}
	}
}

func TestWhatMayBeTwoTextsIsRefused(t *testing.T) {
	for _, test := range []struct{ contentType, content string }{
		{"application/json; charset=utf-7", `{"+AHA-assword":"x"}`}, // unknown
		{"text/plain; charset=ibm037", "abc"},
		{"text/plain; charset=none", "abc"},
		{"text/plain; charset=utf-7", "a\x00b\x00"},
		{"text/plain; charset=hz-gb-2312", "~{abc~}"},                 // known, and never read on the web
		{"text/plain; charset=iso-2022-jp", "\x1b$B$\"\x1b(B"},        // ASCII means something else
		{"application/json; charset=shift_jis", "{\"a\":\"\x83\\\"}"}, // half a character is a backslash
		{"application/json; charset=gbk", "{\"a\":\"漢\\\", \"password\":\"x\"}"},
		{"text/plain; charset=utf-8; charset=utf-7", "a"}, // contradictions
		{"text/plain; charset=utf-8, text/plain; charset=latin1", "a"},
		{"text/plain; charset*=utf-8''utf-7", "a"},
		{"text/plain; charset=utf-16be", "a\x00b\x00"},
		{"text/plain; charset=utf-16le", "\xfe\xff\x00a\x00b"},
		{"text/plain; charset=utf-16", "a\x00\x00\x00b\x00\x00\x00"},
		{"text/xml; charset=latin1", "<?xml version='1.0' encoding='koi8-r'?><a>\xe9</a>"},
		{"text/xml; charset=utf-8", "<?xml version='1.0' encoding='UTF-7'?><a/>"},
		{"text/xml", "<?xml version='1.0' encoding = \"IBM037\"?><a/>"},
		{"text/xml", "<?xml version='1.0' " + strings.Repeat(" ", 2000) + "encoding='utf-7'?>"},
		{"text/xml; charset=utf-8", "<?xml version='1.0' encoding='latin1'?><a>\xe9</a>"},
		{"text/plain; charset=utf-16", "\xe6\xe5"},                  // no NULs, and no UTF-8
		{"text/plain; charset=utf-16", "日\x00"},                     // nobody knows the order
		{"text/plain; charset=utf-16le", "a\x00\x00\xd8b\x00c\x00"}, // half a pair
		{"text/plain", "\xff\xfepassword=x\x00"},                    // UTF-16 by its mark, and a form in bytes
		{"text/plain", "a\x00\x00\x00b\x00\x00\x01"},
		{"text/plain", "a\x00b\x00\x07\x00"},
	} {
		if got, changed, err := decode.Charset(test.contentType, []byte(test.content)); !errors.Is(err, decode.ErrCharset) || got != nil || changed {
			t.Errorf("%s %q: %q, changed %t, %v", test.contentType, test.content, got, changed, err)
		}
	}
}

// In every charset of the web a document comes out as it was, or is refused: it
// is never searched as another one.
func TestNoLabelHidesAName(t *testing.T) {
	const ascii = `{"password":"x","a\\b":[1,{"c":"~"}]}`
	for _, label := range labels() {
		got, _, err := decode.Charset("application/json; charset="+label, []byte(ascii))
		if (err != nil) != (label == "hz-gb-2312") || err == nil && string(got) != ascii {
			t.Errorf("ASCII as %s: %q, %v", label, got, err)
		}
		e, _ := htmlindex.Get(label)
		for _, beyond := range []string{"é", "Я", "ת", "ع", "ก", "日", "語", "表", "ソ", "漢", "한", "你"} {
			doc := strings.Replace(ascii, "~", beyond, 1)
			wire, err := e.NewEncoder().String(doc)
			if err != nil || utf8.ValidString(wire) {
				continue // not in this charset, or another letter in UTF-8
			}
			if got, _, err := decode.Charset("application/json; charset="+label, []byte(wire)); err == nil && string(got) != doc {
				t.Errorf("%s as %s: %q", beyond, label, got)
			}
		}
	}
}

// labels are names of charsets, one for each.
func labels() []string {
	return strings.Fields("utf-8 ibm866 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-8-i iso-8859-10 " +
		"iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u macintosh windows-874 windows-1250 windows-1251 windows-1252 windows-1253 " +
		"windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 x-mac-cyrillic gbk gb18030 hz-gb-2312 big5 euc-jp iso-2022-jp shift_jis " +
		"euc-kr utf-16be utf-16le x-user-defined")
}

// What Charset leaves to its callers for single bytes: ASCII is itself, and
// nothing else is.
func TestCharsetsOfSingleBytesKeepASCII(t *testing.T) {
	for _, label := range labels() {
		e, err := htmlindex.Get(label)
		if err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		if m, ok := e.(*charmap.Charmap); ok {
			for c := range 256 {
				if r := m.DecodeByte(byte(c)); (c < utf8.RuneSelf || r < utf8.RuneSelf) && r != rune(c) {
					t.Errorf("%s: byte %#x is %q", label, c, r)
				}
			}
		}
	}
}

func FuzzCharset(f *testing.F) {
	for _, label := range []string{"", "utf-16", "utf-16le", "latin1", "shift_jis", "iso-2022-jp", "gb18030", "big5", "utf-7"} {
		f.Add("text/plain; charset="+label, []byte("a=\u00e9\\\"\x83\x5c"))
		f.Add("application/xml; charset="+label, []byte("<?xml encoding='"+label+"'?>"))
	}
	for _, e := range []encoding.Encoding{utf16le, utf16be, utf16bom, utf32le, utf32be, utf32bom} {
		f.Add("", []byte(in(f, e, `{"password":"é😀"}`)))
	}
	f.Fuzz(func(t *testing.T, contentType string, content []byte) {
		before := bytes.Clone(content)
		text, changed, err := decode.Charset(contentType, content)
		if !bytes.Equal(before, content) {
			t.Fatalf("the input became %q", content)
		}
		switch {
		case err != nil:
			if text != nil || changed || !errors.Is(err, decode.ErrCharset) {
				t.Fatalf("%q, changed %t, %v", text, changed, err)
			}
		case !changed:
			if !bytes.Equal(text, before) {
				t.Fatalf("%q became %q, unchanged", before, text)
			}
		default:
			if len(text) > decode.MaxGrowth*len(content) || !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
				t.Fatalf("%q became %q", content, text)
			}
			// A second time there is nothing to do.
			if again, changed, err := decode.Charset("text/plain", text); changed || err != nil || !bytes.Equal(again, text) {
				t.Fatalf("%q became %q, %v", text, again, err)
			}
			if utf8.Valid(content) && bytes.IndexByte(content, 0) < 0 {
				t.Fatalf("UTF-8 %q became %q", content, text)
			}
		}
	})
}
