package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// MaxGrowth is how many times longer a body may become when [Charset] writes it
// in UTF-8.
const MaxGrowth = 3

// maxDeclaration is how far an XML declaration is read, in bytes. One that goes
// on is refused.
const maxDeclaration = 1 << 10

// ErrCharset says that a body cannot be read as the text that it is said to be,
// or could be read as two different texts.
var ErrCharset = errors.New("unreadable charset")

// Charset returns a body without content codings in UTF-8, and whether it had to
// be changed for that. contentType is the value of the header. The body may be
// cut anywhere; a character that the cut went through is left out.
//
// What decides is, in this order: a byte order mark of UTF-16 or UTF-32; the NULs
// that betray them (RFC 4627, section 3); the charset parameter, by the names of
// the WHATWG Encoding Standard; the XML declaration. Without any of them the
// body stays as it is. So does one that is no text by its type, but for pictures
// and their like that turn out to be UTF-16: what reads JSON may not ask what
// it is said to be.
//
// A label may be wrong, or lie, so that another text is searched for secrets
// than the one that is read. Hence:
//
//   - What is valid UTF-8 without NULs stays as it is, whatever the label: in
//     any other charset the same bytes are the same text, but for letters
//     beyond ASCII. Where they are not, as in UTF-7 or ISO-2022-JP, or where a
//     backslash is half of another character, the error is [ErrCharset].
//   - UTF-16 and UTF-32 have NULs where they have ASCII. Without NULs their
//     label is ignored.
//   - Labels that are not known, or contradict each other, the byte order mark or
//     the NULs, are errors.
//
// With an error the body is to be withheld.
func Charset(contentType string, content []byte) (text []byte, changed bool, err error) {
	if len(content) == 0 {
		return content, false, nil
	}
	mediaType := strings.ToLower(strings.TrimSpace(beforeAny(contentType, ";,")))
	if !isText(mediaType) {
		if u := sniff(content); u.size > 0 && isMedia(mediaType) {
			if text, ok := u.decode(content); ok {
				return text, true, nil
			}
		}
		return content, false, nil
	}
	label, err := parameter(contentType)
	if err != nil {
		return nil, false, err
	}
	text, changed, err = read(label, content)
	if err != nil || !strings.Contains(mediaType, "xml") {
		return text, changed, err
	}
	declared, err := declaration(content)
	if err != nil {
		return nil, false, err
	}
	if declared == "" {
		return text, changed, nil
	}
	other, changed, err := read(declared, content)
	if err == nil && label != "" && !bytes.Equal(text, other) {
		return nil, false, fmt.Errorf("%w: %q by the header and %q by the XML declaration", ErrCharset, label, declared)
	}
	return other, changed, err
}

// read returns content in UTF-8 that is labelled so; "" is no label.
func read(label string, content []byte) (text []byte, changed bool, err error) {
	wide, ok := wideLabels[label]
	var enc encoding.Encoding
	if known := ok || label == "" || label == "utf-8" || label == "utf8"; !known {
		if enc, err = htmlindex.Get(label); err != nil {
			return nil, false, fmt.Errorf("%w %q", ErrCharset, label)
		}
	}
	if ok || bytes.IndexByte(content, 0) >= 0 {
		return readWide(label, wide, content)
	}
	if enc == nil {
		return content, false, nil
	}
	if _, single := enc.(*charmap.Charmap); single && utf8.Valid(content) {
		return content, false, nil // each byte of ASCII is itself
	}
	if text, err = enc.NewDecoder().Bytes(content); err != nil {
		return nil, false, fmt.Errorf("%w %q: %w", ErrCharset, label, err)
	}
	if enc == encoding.Replacement || !sameGrammar(content, text) {
		return nil, false, fmt.Errorf("%w: in %q the text has another structure than in ASCII", ErrCharset, label)
	}
	if utf8.Valid(content) {
		return content, false, nil
	}
	if content[len(content)-1] >= utf8.RuneSelf {
		text = bytes.TrimSuffix(text, []byte("\uFFFD")) // what a cut left of a character
	}
	return text, true, nil
}

// readWide reads content that has NULs or is labelled as UTF-16 or UTF-32, where
// said is not zero.
func readWide(label string, said unit, content []byte) (text []byte, changed bool, err error) {
	u := sniff(content)
	if said.size > 0 {
		switch {
		case bytes.IndexByte(content, 0) < 0:
			if utf8.Valid(content) {
				return content, false, nil
			}
			return nil, false, fmt.Errorf("%w: %q without ASCII", ErrCharset, label)
		case u.size == 0:
			u = said
		case u.size != said.size, said.order != nil && said.order != u.order:
			return nil, false, fmt.Errorf("%w: %q, and its first bytes say otherwise", ErrCharset, label)
		}
		if u.order == nil {
			return nil, false, fmt.Errorf("%w: %q without a byte order", ErrCharset, label)
		}
	}
	if u.size == 0 {
		return content, false, nil // binary
	}
	text, ok := u.decode(content)
	if !ok {
		return nil, false, fmt.Errorf("%w: no valid UTF-%d", ErrCharset, 8*u.size)
	}
	return text, true, nil
}

// parameter returns the charset parameter of a Content-Type in lower case. It
// takes every word that may be one: receivers differ in what they make of a
// header that is not well-formed.
func parameter(contentType string) (label string, err error) {
	const name = "charset"
	rest := strings.ToLower(contentType)
	for {
		_, after, found := strings.Cut(rest, name)
		if !found {
			return label, nil
		}
		after, found = strings.CutPrefix(strings.TrimLeft(after, " \t"), "=")
		if !found { // charset*=, as in RFC 8187, is nothing that a client sends
			return "", fmt.Errorf("%w: %s without a value", ErrCharset, name)
		}
		after = strings.TrimLeft(after, " \t\"'")
		value := beforeAny(after, " \t;,\"'")
		if label != "" && label != value {
			return "", fmt.Errorf("%w: %q and %q", ErrCharset, label, value)
		}
		label, rest = value, after[len(value):]
	}
}

// declaration returns the encoding that an XML declaration names (XML 1.0,
// section 4.3.3), in lower case.
func declaration(content []byte) (label string, err error) {
	content = bytes.TrimPrefix(content, []byte("\xEF\xBB\xBF"))
	if !bytes.HasPrefix(content, []byte("<?xml")) {
		return "", nil
	}
	head := content[:min(len(content), maxDeclaration)]
	end := bytes.Index(head, []byte("?>"))
	if end < 0 && len(head) == maxDeclaration {
		return "", fmt.Errorf("%w: XML declaration of more than %d bytes", ErrCharset, maxDeclaration)
	}
	if end >= 0 {
		head = head[:end]
	}
	_, after, found := bytes.Cut(head, []byte("encoding"))
	if !found {
		return "", nil
	}
	value := strings.TrimLeft(string(after), " \t\r\n=\"'")
	return strings.ToLower(beforeAny(value, " \t\r\n\"'")), nil
}

// sameGrammar reports whether the bytes of ASCII that give a text its structure
// are the same in b as in a: control characters, punctuation below the letters,
// and the backslash. Letters and digits may be the second half of a character.
func sameGrammar(a, b []byte) bool {
	for {
		a, b = a[structure(a):], b[structure(b):]
		if len(a) == 0 || len(b) == 0 {
			return len(a) == len(b)
		}
		if a[0] != b[0] {
			return false
		}
		a, b = a[1:], b[1:]
	}
}

// structure returns the index of the first byte that gives structure.
func structure(text []byte) int {
	for i, c := range text {
		if c < '0' || c > '9' && c < '@' || c == '\\' || c == 0x7F {
			return i
		}
	}
	return len(text)
}

// isText reports whether a type is that of text, in whatever charset.
func isText(mediaType string) bool {
	class, name, _ := strings.Cut(mediaType, "/")
	if mediaType == "" || class == "text" {
		return true
	}
	for _, word := range []string{"json", "xml", "html", "javascript", "x-www-form-urlencoded", "csv", "tab-separated-values"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// isMedia reports whether a body of a type is kept without being read.
func isMedia(mediaType string) bool {
	class, _, _ := strings.Cut(mediaType, "/")
	return class == "image" || class == "audio" || class == "video" || class == "font"
}

// beforeAny returns s up to the first character of set.
func beforeAny(s, set string) string {
	if i := strings.IndexAny(s, set); i >= 0 {
		return s[:i]
	}
	return s
}
