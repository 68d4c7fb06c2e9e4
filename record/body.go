package record

import (
	"encoding/json"
	"unicode/utf8"
)

// BinaryData stands for a body that is no text. Users of cloud action logs
// know the word.
const BinaryData = "<BINARY_DATA>"

// BodyState tells how much of a body was kept.
type BodyState string

// The values of BodyState.
const (
	BodyNone      BodyState = "none"      // the message had no body
	BodyComplete  BodyState = "complete"  // all of it
	BodyTruncated BodyState = "truncated" // its beginning: Reason says what cut it
	BodyBinary    BodyState = "binary"    // all of it, and it is no text
	BodyStreamed  BodyState = "streamed"  // the beginning of a stream or of an upgraded connection
	BodyWithheld  BodyState = "withheld"  // nothing: Reason says why
)

// The reasons why a body is not whole.
const (
	ReasonLevel      = "level"      // the policy keeps no bodies of such calls
	ReasonCap        = "cap"        // longer than the policy keeps
	ReasonMemory     = "memory"     // the memory for captures was used up
	ReasonType       = "type"       // binary of a kind that is not kept
	ReasonUnparsable = "unparsable" // could not be read to look for secrets
	ReasonRule       = "rule"       // a rule keeps no bodies of such calls
	ReasonAborted    = "aborted"    // the message broke off, or nobody read it to its end
)

// Body is what was kept of a body, and what is known of the whole.
type Body struct {
	// Content is decoded and redacted.
	Content []byte
	BodyInfo
}

// BodyInfo is what is known of a body. Size and digests are those of the bytes
// on the wire; Content is decoded, so its length may differ from Kept.
type BodyInfo struct {
	// Size is how many bytes passed, Kept how many of them were kept.
	Size int64 `json:"size"`
	Kept int64 `json:"kept"`
	// SHA256 is the digest of the wire bytes, in hexadecimal: of the first
	// [DigestLimit], and then Partial is true. It stands only where nothing of
	// the body was redacted or withheld; elsewhere HMACSHA256 stands, keyed, so
	// that a weak secret cannot be guessed from it.
	SHA256     string `json:"sha256,omitempty"`
	HMACSHA256 string `json:"hmac_sha256,omitempty"`
	Partial    bool   `json:"partial,omitempty"`

	ContentType string    `json:"content_type,omitempty"`
	Encoding    string    `json:"encoding,omitempty"` // Content-Encoding on the wire
	State       BodyState `json:"state"`
	Reason      string    `json:"reason,omitempty"`
}

// JSONBody returns the body of a record that Auditgate writes about itself: told, which
// is plain data, as JSON.
func JSONBody(told any) Body {
	content, err := json.Marshal(told)
	if err != nil {
		panic(err) // it is plain data
	}
	size := int64(len(content))
	return Body{Content: content, BodyInfo: BodyInfo{
		Size: size, Kept: size, ContentType: "application/json", State: BodyComplete,
	}}
}

// DigestLimit is how much of a body is digested, in bytes: past it a stream
// costs nothing more.
const DigestLimit = 16 << 20

// Text is the body as text: as it was where it is UTF-8, else [BinaryData].
func (b *Body) Text() string {
	if len(b.Content) == 0 {
		return ""
	}
	if b.State == BodyBinary || !utf8.Valid(b.Content) {
		return BinaryData
	}
	return string(b.Content)
}

// info is nil where there is nothing to say.
func (b *Body) info() *BodyInfo {
	if b.State == "" {
		return nil
	}
	return &b.BodyInfo
}
